-- fill: put documents and list entries into a generation that nobody reads or feeds yet.
--
-- KEYS[1]  how far the generation has been built: range -> last order of it that is done
-- KEYS[2]  the generation's key prefix, '{order-3}:g2:'
-- ARGV[1]  the range
-- ARGV[2]  the order that the caller goes on after ('' at the range's beginning)
-- ARGV[3]  the order that is then the last one done
-- then     for each order: id, value ('' for none), note ('' for none), sort key, n, n lists
--
-- Gives nil; or, with nothing changed, the order that the range was built to ('' for none) where
-- that is another one: another builder was here, or Redis has lost what it had confirmed.

local built = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if built ~= ARGV[2] then
  return built
end
local document, list, parked = KEYS[2] .. 'document:', KEYS[2] .. 'list:', KEYS[2] .. 'parked'
local at, last = 4, #ARGV
while at <= last do
  if ARGV[at + 1] ~= '' then
    redis.call('SET', document .. ARGV[at], ARGV[at + 1])
  end
  if ARGV[at + 2] ~= '' then
    redis.call('HSET', parked, ARGV[at], ARGV[at + 2])
  end
  local next_at = at + 5 + tonumber(ARGV[at + 4])
  for i = at + 5, next_at - 1 do
    redis.call('ZADD', list .. ARGV[i], 0, ARGV[at + 3])
  end
  at = next_at
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return nil
