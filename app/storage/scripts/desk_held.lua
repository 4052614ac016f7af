-- @no-writes
-- The sessions that some operators have. KEYS[1]: the set of operators who have any; ARGV: max, ids of those to leave out.
-- Returns operator and session hash by turns. What a server took for an operator is not given back for their absence.
local left_out, found = {}, {}
for i = 2, #ARGV do left_out[ARGV[i]] = true end
for _, operator in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local refs = not left_out[operator] and redis.call('ZRANGE', 'baton:desk:{desk}:view:mine:' .. operator, 0, ARGV[1] - 1) or {}
  for _, ref in ipairs(refs) do
    local hash = redis.call('HGET', 'baton:desk:{desk}:row:' .. ref, 'hash')
    if hash and redis.call('GET', 'baton:desk:{desk}:by_server:' .. ref) ~= operator then
      found[#found + 1] = operator
      found[#found + 1] = hash
    end
  end
end
return found
