-- strays: find list entries that no document explains.
--
-- KEYS[1]  the generation's key prefix, '{order-3}:g2:'
-- KEYS[2]  that of another generation, which was made apart from it; may be left out
-- ARGV[1]  how many entries to look at, at most
-- ARGV[2]  the log position to which they were made apart, in as many digits as documents begin with
-- then     pairs: a list's name, and the entry to go on after ('' for its beginning)
--
-- Gives a flat list: how many of the lists have been gone through, the entry to go on after in the
-- next one, and then pairs of a list's name and an entry that isn't in its order's document, nor in
-- the same list of the other generation, with an order that has not moved since. A list with an entry of another score than 0 is told as one.
-- An entry is a sort key, and ends with its order's id; a document's header is its first line.

local MOST_OFTEN = 511 -- the last byte that is read at first: the body is not needed

local function header_of(key)
  local value = redis.pcall('GETRANGE', key, 0, MOST_OFTEN)
  if type(value) ~= 'string' then
    return '' -- of another type: it explains nothing
  end
  local stop = string.find(value, '\n', 1, true)
  if not stop then
    value = redis.call('GET', key) or '\n'
    stop = string.find(value, '\n', 1, true)
  end
  return string.sub(value, 1, stop)
end

local function is_in_other(name, entry)
  if not KEYS[2] or redis.pcall('ZSCORE', KEYS[2] .. 'list:' .. name, entry) ~= '0' then
    return false
  end
  local document = KEYS[1] .. 'document:' .. string.sub(entry, -36)
  local position = redis.pcall('GETRANGE', document, 0, #ARGV[2] - 1)
  return type(position) == 'string' and #position == #ARGV[2] and position <= ARGV[2]
end

-- Only where all entries have the same score, 0, do they lie in their own order, and can be gone
-- through by it. The first has the least score, and the last the greatest.
local function is_in_order(list)
  for _, place in ipairs({0, -1}) do
    local entry = redis.call('ZRANGE', list, place, place, 'WITHSCORES')
    if entry[2] and entry[2] ~= '0' then
      return false
    end
  end
  return true
end

local function is_explained(name, entry)
  local header = header_of(KEYS[1] .. 'document:' .. string.sub(entry, -36))
  local lists = string.find(header, '"lists":[', 1, true)
  return lists
    and string.find(header, '"sort_key":"' .. entry .. '"', 1, true)
    and string.find(header, '"' .. name .. '"', lists, true)
end

local left = tonumber(ARGV[1])
local result = {0, ''}
for at = 3, #ARGV, 2 do
  local name, after = ARGV[at], ARGV[at + 1]
  local from = after == '' and '-' or '(' .. after
  local entries =
    redis.pcall('ZRANGEBYLEX', KEYS[1] .. 'list:' .. name, from, '+', 'LIMIT', 0, left)
  if entries.err then
    entries = {}
    result[#result + 1] = name
    result[#result + 1] = '(what is no list)'
  elseif not is_in_order(KEYS[1] .. 'list:' .. name) then
    entries = {}
    result[#result + 1] = name
    result[#result + 1] = '(an entry with a score)'
  end
  for _, entry in ipairs(entries) do
    if not is_in_other(name, entry) and not is_explained(name, entry) then
      result[#result + 1] = name
      result[#result + 1] = entry
    end
  end
  left = left - #entries
  if left <= 0 then
    result[2] = entries[#entries]
    return result
  end
  result[1] = result[1] + 1
end
return result
