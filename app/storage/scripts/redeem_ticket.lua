-- @include clock
-- @include session
-- @include write
-- @include track
-- Redeems a ticket; a once ticket for one client only. A session with an owner opens to anybody by a signed ticket only,
-- which carries the owner's proof. ARGV: '*', ticket's hash, client id, ticket ttl ms, actor, ttl, max age, idle ms.
local ticket = redis.call('HGET', tickets, ARGV[2])
if ended or not ticket then return {'not_found'} end
local actor, signed = ARGV[5], string.sub(ticket, 1, 7) == 'signed:'
if session[4] and session[4] ~= actor and actor ~= '*' and not (signed and actor == '') then return {'not_owner'} end
local kind, deadline, encrypted_id, taken_by = string.match(ticket, '^(%a+):(%d+):(%x+):(.*)$')
if clock > tonumber(deadline) then return {'not_found'} end
if kind ~= 'share' then
  if taken_by == '' then
    local redeemed = kind .. ':' .. string.format('%.0f', clock + ARGV[4]) .. ':' .. encrypted_id .. ':@' .. ARGV[3]
    redis.call('HSET', tickets, ARGV[2], redeemed)
  elseif ARGV[3] == '' or taken_by ~= '@' .. ARGV[3] then
    return {'not_found'}
  else
    refresh_ttl_for_wait()
    return {'ok', encrypted_id, kind}  -- the same reply again
  end
end
mark_seen(ARGV[6], ARGV[7], ARGV[8])
record('session.handed_off')
mark_changed()
return {'ok', encrypted_id, kind}
