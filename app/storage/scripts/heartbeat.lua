-- @include clock
-- @include session
-- @include write
-- Marks a session as seen. ARGV: actor, ttl, max age, idle ms, '1' for a resume, which may meet an ended session.
if ended and ARGV[5] ~= '1' then return {'ended'} end
mark_seen(ARGV[2], ARGV[3], ended and math.huge or ARGV[4])
return {'ok', expires}
