--! clock session write
-- ARGV: '*', ticket's hash, client id, ticket ttl ms, who, ttl, max age, idle ms. Takes a ticket, a `once` ticket for
-- one alone. Of an owned session only a `signed` ticket opens to whoever has it, for it carries its owner's proof.
local found = redis.call('HGET', tickets, ARGV[2])
if ended or not found then return {'gone'} end
local who, signed = ARGV[5], string.sub(found, 1, 7) == 'signed:'
if m[4] and m[4] ~= who and who ~= '*' and not (signed and who == '') then return {'not_owner'} end
local kind, deadline, sealed, taker = string.match(found, '^(%a+):(%d+):(%x+):(.*)$')
if clock > tonumber(deadline) then return {'gone'} end
if kind ~= 'share' then
  if taker == '' then
    local mark = kind .. ':' .. string.format('%.0f', clock + ARGV[4]) .. ':' .. sealed .. ':@' .. ARGV[3]
    redis.call('HSET', tickets, ARGV[2], mark)
  elseif ARGV[3] == '' or taker ~= '@' .. ARGV[3] then
    return {'gone'}
  else
    again()
    return {'ok', sealed, kind}  -- the same answer again: nothing moves
  end
end
here(ARGV[6], ARGV[7], ARGV[8])
return {'ok', sealed, kind}
