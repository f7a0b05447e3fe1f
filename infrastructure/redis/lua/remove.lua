-- remove: delete a document that no event stands behind, or do nothing.
--
-- KEYS[1]  the generation's key prefix, '{order-3}:g2:'
-- ARGV[1]  the order's id
-- ARGV[2]  the beginning of the document that was read: a value begins with its position
-- ARGV[3]  its sort key
-- then     the lists that it stands in
--
-- Gives 1; or 0, with nothing changed, where the document is another one by now.

local document = KEYS[1] .. 'document:' .. ARGV[1]
if redis.call('GETRANGE', document, 0, 19) ~= ARGV[2] then
  return 0
end
redis.call('DEL', document)
redis.call('HDEL', KEYS[1] .. 'parked', ARGV[1])
for i = 4, #ARGV do
  redis.call('ZREM', KEYS[1] .. 'list:' .. ARGV[i], ARGV[3])
end
return 1
