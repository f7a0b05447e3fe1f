-- swap: write a key if it is as the caller read it.
--
-- KEYS[1]  the key
-- ARGV[1]  what the caller read ('' for a missing key, or one of another type)
-- ARGV[2]  what to write
--
-- Gives 1, or 0 with nothing changed.

local value = redis.pcall('GET', KEYS[1])
if (type(value) == 'string' and value or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
