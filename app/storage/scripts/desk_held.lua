-- @include clock
-- @no-writes
-- The sessions that some operators have. KEYS[1]: the set of operators who have any; ARGV: max, ms that they must have had it, ids
-- of those to leave out. Returns operator and session hash by turns. What a server took for an operator is left out too, until that
-- operator is removed.
local desk, max, min_ms = 'baton:desk:{desk}:', ARGV[1], tonumber(ARGV[2])
local left_out, held = {}, {}
for i = 3, #ARGV do left_out[ARGV[i]] = true end

local function add_if_due(operator, ref)
  local row = redis.call('HMGET', desk .. 'row:' .. ref, 'hash', 'since')
  if not row[1] or clock - tonumber(row[2] or 0) < min_ms then return end
  if redis.call('GET', desk .. 'by_server:' .. ref) == operator
    and redis.call('HEXISTS', desk .. 'operators', operator) == 1 then return end
  held[#held + 1] = operator
  held[#held + 1] = row[1]
end

for _, operator in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not left_out[operator] then
    for _, ref in ipairs(redis.call('ZRANGE', desk .. 'view:mine:' .. operator, 0, max - 1)) do add_if_due(operator, ref) end
  end
end
return held
