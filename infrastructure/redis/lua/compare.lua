-- compare: hold a generation against what the log says, and against another generation.
--
-- KEYS[1]  the shard's key prefix, '{order-3}:'
-- ARGV[1]  the generation
-- ARGV[2]  the other generation, '' for none
-- then     for each order, as for fill: id, value, note, sort key, n, n lists
--
-- Gives two lists of ids: orders whose document or list entries are not those given, and orders
-- whose document the other generation doesn't have just so. It changes nothing, and everything
-- in it is of one moment. An entry with another score than 0 lies in another place than its own.

-- What somebody has put there as another type is as good as none.
local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end

local under = KEYS[1] .. 'g' .. ARGV[1] .. ':'
local document, list = under .. 'document:', under .. 'list:'
local other = KEYS[1] .. 'g' .. ARGV[2] .. ':document:'
local wrong, differing = {}, {}
local at, last = 3, #ARGV
while at <= last do
  local stored = get(document .. ARGV[at])
  local next_at = at + 5 + tonumber(ARGV[at + 4])
  local right = (stored or '') == ARGV[at + 1]
  for i = at + 5, next_at - 1 do
    right = right and redis.pcall('ZSCORE', list .. ARGV[i], ARGV[at + 3]) == '0'
  end
  if not right then
    wrong[#wrong + 1] = ARGV[at]
  end
  if ARGV[2] ~= '' and get(other .. ARGV[at]) ~= stored then
    differing[#differing + 1] = ARGV[at]
  end
  at = next_at
end
return {wrong, differing}
