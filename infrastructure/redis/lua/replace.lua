-- replace: put a document's value in the place of the one that was read, or do nothing.
--
-- KEYS[1]  the document
-- ARGV[1]  the position that was read, in twenty digits: a value begins with it
-- ARGV[2]  the new value
--
-- Gives 1; or 0, with nothing changed, where the document has another position.

if redis.call('GETRANGE', KEYS[1], 0, 19) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
