-- @include clock
-- @include session
-- @include write
-- @include track
-- Marks a session as seen. ARGV: actor, ttl, max age, idle ms, '1' for a resume, which may meet an ended session.
if ended and ARGV[5] ~= '1' then return {'ended'} end
local changed = mark_seen(ARGV[2], ARGV[3], ended and math.huge or ARGV[4])
if ARGV[5] == '1' and not ended then
  record('session.restored')
  changed = true
end
if changed then mark_changed() end
return {'ok', expires}
