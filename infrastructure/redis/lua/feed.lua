-- feed: let one generation of a shard be fed from now on, or no longer.
--
-- KEYS[1]  which generations of the shard are fed: '1', or '1,2'; missing: '1'
-- KEYS[2]  the shard's key prefix, '{order-3}:'
-- ARGV[1]  'join' or 'leave'
-- ARGV[2]  the generation
--
-- Gives the fed generations as they then are. One that joins is read on from the progress that
-- stands under it; one that leaves loses its progress, so that it can only come back from the
-- beginning. Writers who know another set are refused by apply from then on, and look again.

local MOST_DIGITS = 9 -- of a generation's number

-- Only as it is written here: what is another text, or type, is as good as none, as in apply.lua.
local function fed_generations()
  local stored, known, found = redis.pcall('GET', KEYS[1]), {}, {}
  for generation in string.gmatch(type(stored) == 'string' and stored or '', '[1-9]%d*') do
    if known[generation] or #generation > MOST_DIGITS then
      return {'1'}
    end
    known[generation], found[#found + 1] = true, generation
  end
  return #found > 0 and table.concat(found, ',') == stored and found or {'1'}
end

local under = KEYS[2] .. 'g' .. ARGV[2] .. ':'
local generations, known, rest = fed_generations(), false, {}
for _, generation in ipairs(generations) do
  if generation == ARGV[2] then
    known = true
  else
    rest[#rest + 1] = generation
  end
end
local fed = table.concat(generations, ',')

if ARGV[1] == 'join' and not known then
  fed = fed .. ',' .. ARGV[2]
  redis.call('SET', KEYS[1], fed)
elseif ARGV[1] == 'leave' and known then
  if #rest == 0 then
    return redis.error_reply('the only fed generation of a shard stays')
  end
  fed = table.concat(rest, ',')
  redis.call('SET', KEYS[1], fed)
  redis.call('DEL', under .. 'progress', under .. 'position')
end
return fed
