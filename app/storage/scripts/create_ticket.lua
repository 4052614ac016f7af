--! clock session write
-- ARGV: who, ticket's hash, kind, ticket ttl ms, sealed session id. A share ticket has no time of its own; a signed one is
-- a once ticket that carries its owner's proof.
if ended then return {'ended'} end
local deadline = ARGV[3] == 'share' and created + 1e12 or clock + tonumber(ARGV[4])
if redis.call('HLEN', tickets) >= 100 then
  -- Out go the dead ones, and the one nearest its end, so that links cannot fill the memory.
  local all, nearest, least = redis.call('HGETALL', tickets), nil, math.huge
  for i = 1, #all, 2 do
    local at = tonumber(string.match(all[i + 1], '^%a+:(%d+)'))
    if at < clock then redis.call('HDEL', tickets, all[i]) elseif at < least then nearest, least = all[i], at end
  end
  if redis.call('HLEN', tickets) >= 100 then redis.call('HDEL', tickets, nearest) end
end
redis.call('HSET', tickets, ARGV[2], ARGV[3] .. ':' .. string.format('%.0f', deadline) .. ':' .. ARGV[5] .. ':')
redis.call('PEXPIREAT', tickets, expires)
return {'ok', expires - now}
