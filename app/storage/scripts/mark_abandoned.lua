-- @include clock
-- @include session
-- @include write
-- @include track
-- Records that the visitor has left, once for each time. ARGV: '*', idle ms.
-- Returns ok, or kept where they are there or it is recorded; and when they were last seen.
local is_known = redis.call('HGET', meta, 'told') == string.format('%.0f', last_seen)
if ended or is_known or now - last_seen < tonumber(ARGV[2]) then return {'kept', last_seen} end
redis.call('HSET', meta, 'told', string.format('%.0f', last_seen))
record('session.abandoned', ',"handler":"' .. (handler == '' and 'bot' or handler) .. '"')
mark_changed()
return {'ok', last_seen}
