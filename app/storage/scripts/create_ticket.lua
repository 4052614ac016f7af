-- @include clock
-- @include session
-- @include write
-- Stores a handoff ticket by its hash. A share ticket lives as long as the session; a signed one is a once ticket that
-- carries its owner's proof. ARGV: actor, ticket's hash, kind, ticket ttl ms, encrypted session id.
if ended then return {'ended'} end
local deadline = ARGV[3] == 'share' and created + 1e12 or clock + tonumber(ARGV[4])
if redis.call('HLEN', tickets) >= 100 then
  -- So that links cannot fill the memory: expired ones go, else the one that expires first.
  local all, first, first_deadline = redis.call('HGETALL', tickets), nil, math.huge
  for i = 1, #all, 2 do
    local other = tonumber(string.match(all[i + 1], '^%a+:(%d+)'))
    if other < clock then
      redis.call('HDEL', tickets, all[i])
    elseif other < first_deadline then
      first, first_deadline = all[i], other
    end
  end
  if redis.call('HLEN', tickets) >= 100 then redis.call('HDEL', tickets, first) end
end
redis.call('HSET', tickets, ARGV[2], ARGV[3] .. ':' .. string.format('%.0f', deadline) .. ':' .. ARGV[5] .. ':')
redis.call('PEXPIREAT', tickets, expires)
return {'ok', expires - now}
