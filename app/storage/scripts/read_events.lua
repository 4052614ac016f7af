--! clock session event_cursor no-writes
-- ARGV: who, the number of the last event seen (-1: from now), most events
local after = tonumber(ARGV[2])
if after < 0 then after = seq end
local running = redis.call('HMGET', turn, 'lease', 'start')
local left = running[1] and (over(running[1]) and -1 or tonumber(running[1]) - clock) or ''
local found = {}

-- Whoever lost its place goes on from here, a running answer from its first word where that is still to be had.
local function anew() return {'reset', place_of(running[2] or seq), left, {}} end
if after > seq then return anew() end
if after < seq then
  found = redis.call('XRANGE', live, (after + 1) .. '-0', '+', 'COUNT', ARGV[3])
  if not found[1] or found[1][1] ~= (after + 1) .. '-0' then return anew() end
end
local flat = {}
for i = 1, #found do flat[2 * i - 1], flat[2 * i] = found[i][2][2], found[i][2][4] end
return {'ok', after, left, flat}
