-- @include clock
-- @include session
-- @include write
-- @include track
-- Appends a message; a client id that is known gets its first message again.
-- ARGV: actor, ttl, max age, client id, rest of the message's JSON, max messages, rate limit, its window ms.
local client_id = ARGV[4]
local stored_number = client_id ~= '' and redis.call('HGET', client_ids, 'm:' .. client_id)
if stored_number then
  refresh_ttl_for_wait()
  return {'replay', get_message(stored_number)}
end
if ended then return {'ended'} end
-- One message is reserved for a running answer.
if count + redis.call('EXISTS', turn) >= tonumber(ARGV[6]) then return {'full'} end
local limit, window = tonumber(ARGV[7]), tonumber(ARGV[8])
local wait = session_rate_limited(limit, window)
if wait then return {'session_limited', wait, limit} end
local json = append_message(ARGV[5])
append_event('message', json)
if client_id ~= '' then redis.call('HSET', client_ids, 'm:' .. client_id, seq) end
if string.sub(ARGV[5], 1, 13) == '"role":"user"' then count_question() end
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return {'ok', json, limit - limit_used, limit_window + window - clock}
