-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Appends an operator's message, and takes the conversation first where nobody has it.
-- ARGV: '*', ttl, max age, client id, rest of the message's JSON, max messages, operator's id, their name.
-- Returns the message, and whether the conversation was taken.
local client_id = ARGV[4] ~= '' and 'o:' .. ARGV[7] .. ':' .. ARGV[4]
local stored_number = client_id and redis.call('HGET', client_ids, client_id)
if stored_number then
  refresh_ttl_for_wait()
  return {'replay', get_message(stored_number), 0}
end
if ended then return {'ended'} end
if handler == 'human' and operator ~= ARGV[7] then return {'already_taken', operator_name} end
if count + redis.call('EXISTS', turn) >= tonumber(ARGV[6]) then return {'full'} end
local takes = handler ~= 'human'
if takes then take(ARGV[7], ARGV[8]) end
local json = append_message(ARGV[5])
append_event('message', json)
if client_id then redis.call('HSET', client_ids, client_id, seq) end
redis.call('HSET', reads, ARGV[7], asked)
redis.call('PEXPIREAT', reads, expires)
save('operator', tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return {'ok', json, takes and 1 or 0}
