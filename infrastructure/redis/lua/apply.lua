-- apply: change one shard's documents, lists and progress together, or nothing of it.
--
-- KEYS[1]  progress of the shard: where its Kafka partition is to be read on
-- KEYS[2]  log position up to which the shard is complete
-- KEYS[3]  the shard's key prefix, '{order-3}:'; documents and lists stand under it
-- ARGV[1]  the progress that the caller began with ('' for none), or '*': leave progress alone
-- ARGV[2]  the progress to store
-- ARGV[3]  the log position to store, as a decimal number
-- ARGV[4]  how many documents follow; each of them:
--          id, position read ('' for none), new value ('' to write none), note ('' to take away
--          the one that says why the order is parked), sort key, n, n lists to join, m, m to leave
--
-- Gives {'applied'}; or, with nothing changed, {'progress', stored progress} where another
-- caller was here or the data was lost, or {'moved', id} where a document has another position.
-- A document's value begins with its position in twenty digits.

local prefix = KEYS[3]
if ARGV[1] ~= '*' then
  local progress = redis.call('GET', KEYS[1]) or ''
  if progress ~= ARGV[1] then
    return {'progress', progress}
  end
end

local function each_document(visit)
  local at = 5
  for _ = 1, tonumber(ARGV[4]) do
    local joins = tonumber(ARGV[at + 5])
    local leaves_at = at + 6 + joins
    visit(at, joins, leaves_at, tonumber(ARGV[leaves_at]))
    at = leaves_at + 1 + tonumber(ARGV[leaves_at])
  end
end

local moved = nil
each_document(function(at)
  local stored = redis.call('GETRANGE', prefix .. 'document:' .. ARGV[at], 0, 19)
  if stored ~= ARGV[at + 1] then
    moved = moved or ARGV[at]
  end
end)
if moved then
  return {'moved', moved}
end

each_document(function(at, joins, leaves_at, leaves)
  if ARGV[at + 2] ~= '' then
    redis.call('SET', prefix .. 'document:' .. ARGV[at], ARGV[at + 2])
  end
  if ARGV[at + 3] ~= '' then
    redis.call('HSET', prefix .. 'parked', ARGV[at], ARGV[at + 3])
  else
    redis.call('HDEL', prefix .. 'parked', ARGV[at])
  end
  for i = at + 6, at + 5 + joins do
    redis.call('ZADD', prefix .. 'list:' .. ARGV[i], 0, ARGV[at + 4])
  end
  for i = leaves_at + 1, leaves_at + leaves do
    redis.call('ZREM', prefix .. 'list:' .. ARGV[i], ARGV[at + 4])
  end
end)

if ARGV[1] ~= '*' then
  redis.call('SET', KEYS[1], ARGV[2])
  local before = tonumber(redis.call('GET', KEYS[2]) or '0')
  if tonumber(ARGV[3]) > before then
    redis.call('SET', KEYS[2], ARGV[3])
  end
end
return {'applied'}
