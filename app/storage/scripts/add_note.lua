-- @include clock
-- @include session
-- @include write
-- @include track
-- Adds a note, which operators alone read. It is outside of the history and of the log.
-- ARGV: '*', client id, rest of the note's JSON, max notes, operator's id, max bytes of all notes.
local client_id = ARGV[2] ~= '' and 'n:' .. ARGV[5] .. ':' .. ARGV[2]
local stored_number = client_id and redis.call('HGET', client_ids, client_id)
if stored_number then
  refresh_ttl_for_wait()
  return {'replay', redis.call('XRANGE', notes, stored_number .. '-0', stored_number .. '-0')[1][2][2]}
end
if redis.call('XLEN', notes) >= tonumber(ARGV[4]) then return {'full'} end
if tonumber(redis.call('HGET', meta, 'note_bytes') or 0) + #ARGV[3] > tonumber(ARGV[6]) then return {'full'} end
redis.call('HINCRBY', meta, 'note_bytes', #ARGV[3])
local number = redis.call('HINCRBY', meta, 'noted', 1)
local json = '{"id":"note_' .. number .. '_' .. session_tag .. '","created_at":"' .. iso8601(now) .. '",' .. ARGV[3]
redis.call('XADD', notes, number .. '-0', 'j', json)
if client_id then redis.call('HSET', client_ids, client_id, number) end
redis.call('PEXPIREAT', notes, expires)
save(false)
notify()
return {'ok', json}
