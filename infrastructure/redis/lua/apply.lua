-- apply: change documents, lists and progress of one shard's fed generations, or nothing of it.
--
-- KEYS[1]  which generations of the shard are fed: '1', or '1,2'; missing: '1'
-- KEYS[2]  the shard's key prefix, '{order-3}:'; a generation stands under '{order-3}:g2:'
-- ARGV[1]  the fed generations as the caller knows them; '*': those given are not fed yet
-- ARGV[2]  the log position to store, as a decimal number
-- ARGV[3]  how many generations follow; each of them:
--          number, the progress that the caller began with ('' for none) or '*': leave progress
--          and position alone, the progress to store
-- then     how many documents follow; each of them:
--          generation, id, position read ('' for none), new value ('' to write none), note ('' to
--          take away the one that says why the order is parked), sort key, n, n lists to join,
--          m, m to leave
--
-- Gives {'applied'}, and behind that keys that were of another type and are begun anew; or, with
-- nothing changed, {'fed', fed generations} where these are others, {'progress', stored progress}
-- where another caller was here or the data was lost, or {'moved', id} where a document has another
-- position.
-- A document's value begins with its position in twenty digits. Once something is written no call
-- may fail: what is of another type is as good as none, and makes room.

local MOST_DIGITS = 9 -- of a generation's number

local function prefix(generation)
  return KEYS[2] .. 'g' .. generation .. ':'
end

-- What is of another type, or no text of ours, is as good as none.
local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and string.match(value, '^[\32-\126]*$') or nil
end

-- Only as callers write it: '01', '1,1' or digits without end are as good as none, as in feed.lua.
local function fed_generations()
  local stored, known, found = get(KEYS[1]), {}, {}
  for generation in string.gmatch(stored or '', '[1-9]%d*') do
    if known[generation] or #generation > MOST_DIGITS then
      return '1'
    end
    known[generation], found[#found + 1] = true, generation
  end
  return #found > 0 and table.concat(found, ',') == stored and stored or '1'
end

if ARGV[1] ~= '*' then
  local fed = fed_generations()
  if fed ~= ARGV[1] then
    return {'fed', fed}
  end
end

local generations = tonumber(ARGV[3])
local count_at = 4 + 3 * generations
for at = 4, count_at - 1, 3 do
  if ARGV[at + 1] ~= '*' then
    local progress = get(prefix(ARGV[at]) .. 'progress') or ''
    if progress ~= ARGV[at + 1] then
      return {'progress', progress}
    end
  end
end

local function each_document(visit)
  local at = count_at + 1
  for _ = 1, tonumber(ARGV[count_at]) do
    local joins = tonumber(ARGV[at + 6])
    local leaves_at = at + 7 + joins
    visit(at, joins, leaves_at, tonumber(ARGV[leaves_at]))
    at = leaves_at + 1 + tonumber(ARGV[leaves_at])
  end
end

local moved = nil
each_document(function(at)
  local key = prefix(ARGV[at]) .. 'document:' .. ARGV[at + 1]
  local position = redis.pcall('GETRANGE', key, 0, 19)
  if type(position) ~= 'string' then
    position = '' -- of another type: as good as none, and read as none
  end
  if position ~= ARGV[at + 2] then
    moved = moved or ARGV[at + 1]
  end
end)
if moved then
  return {'moved', moved}
end

local made_anew = {}
local function insist(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' then
    if not string.find(answer.err, 'WRONGTYPE', 1, true) then
      error(answer)
    end
    made_anew[#made_anew + 1] = key
    redis.call('DEL', key)
    redis.call(command, key, ...)
  end
end
each_document(function(at, joins, leaves_at, leaves)
  local under = prefix(ARGV[at])
  if ARGV[at + 3] ~= '' then
    redis.call('SET', under .. 'document:' .. ARGV[at + 1], ARGV[at + 3])
  end
  if ARGV[at + 4] ~= '' then
    insist('HSET', under .. 'parked', ARGV[at + 1], ARGV[at + 4])
  else
    insist('HDEL', under .. 'parked', ARGV[at + 1])
  end
  for i = at + 7, at + 6 + joins do
    insist('ZADD', under .. 'list:' .. ARGV[i], 0, ARGV[at + 5])
  end
  for i = leaves_at + 1, leaves_at + leaves do
    redis.pcall('ZREM', under .. 'list:' .. ARGV[i], ARGV[at + 5])
  end
end)

for at = 4, count_at - 1, 3 do
  if ARGV[at + 1] ~= '*' then
    local under = prefix(ARGV[at])
    redis.call('SET', under .. 'progress', ARGV[at + 2])
    -- In decimal digits alone, as its readers have it: 'inf' and '1e9' are no numbers to them.
    local digits = string.match(get(under .. 'position') or '', '^%d+$')
    if tonumber(ARGV[2]) > tonumber(digits or '0') then
      redis.call('SET', under .. 'position', ARGV[2])
    end
  end
end
return {'applied', unpack(made_anew)}
