-- @no-writes
-- The questions that were not answered: id, text, count, first and last time each.
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local one = redis.call('HMGET', KEYS[1] .. ':' .. id, 'text', 'count', 'first', 'last')
  if one[1] then found[#found + 1] = {id, unpack(one)} end
end
return found
