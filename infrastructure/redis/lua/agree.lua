-- agree: find orders that two generations don't show alike, or show without their newest event.
--
-- KEYS[1]  the shard's key prefix, '{order-3}:'
-- ARGV[1]  the generation
-- ARGV[2]  the other generation
-- then     pairs: an order's id, and the log position of its newest event, in as many digits as a
--          document begins with
--
-- Gives the ids of those; and of orders that are parked, or not in each list of the generation that
-- their document names, in their place, which is that of score 0. It changes nothing, and everything
-- in it is of one moment.

local DIGITS = 20

-- What somebody has put there as another type is as good as none.
local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end

local under = KEYS[1] .. 'g' .. ARGV[1] .. ':'
local document, list = under .. 'document:', under .. 'list:'
local other = KEYS[1] .. 'g' .. ARGV[2] .. ':document:'

local function is_listed(value)
  local stop = string.find(value, '\n', DIGITS, true)
  local read, header = pcall(cjson.decode, string.sub(value, DIGITS + 1, stop or 0))
  if not read or type(header) ~= 'table' or header.parked or type(header.lists) ~= 'table'
    or type(header.sort_key) ~= 'string' then
    return false
  end
  for _, name in ipairs(header.lists) do
    if type(name) ~= 'string' or redis.pcall('ZSCORE', list .. name, header.sort_key) ~= '0' then
      return false
    end
  end
  return true
end

local found = {}
for at = 3, #ARGV, 2 do
  local value = get(document .. ARGV[at])
  if not value
    or value ~= get(other .. ARGV[at])
    or string.sub(value, 1, DIGITS) < ARGV[at + 1]
    or not is_listed(value) then
    found[#found + 1] = ARGV[at]
  end
end
return found
