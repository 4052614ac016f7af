--! clock session write
-- ARGV: who, ticket's hash, client id, ticket ttl ms. Takes a ticket; a `once` ticket is taken by one alone.
if ended then return {'gone'} end
local found = redis.call('HGET', tickets, ARGV[2])
if not found then return {'gone'} end
local kind, deadline, sealed, taker = string.match(found, '^(%a+):(%d+):(%x+):(.*)$')
if clock > tonumber(deadline) then return {'gone'} end
if kind == 'once' then
  if taker == '' then
    local mark = kind .. ':' .. string.format('%.0f', clock + ARGV[4]) .. ':' .. sealed .. ':@' .. ARGV[3]
    redis.call('HSET', tickets, ARGV[2], mark)
  elseif ARGV[3] == '' or taker ~= '@' .. ARGV[3] then
    return {'gone'}
  else
    again()
  end
end
return {'ok', sealed, kind}
