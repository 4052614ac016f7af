-- @include clock
-- @include session
-- @include event_cursor
-- @no-writes
-- Events after a cursor. ARGV: actor, the number of the last event seen (-1: from now on), max events.
-- Returns ok or reset, the cursor that the events follow, ms until the lease of a running answer expires (-1: it has;
-- '': no answer runs), types and JSON of the events, and while people answer too who typed last: ms and name of the
-- operator and of the visitor; and how many notes there are.
local after = tonumber(ARGV[2])
if after < 0 then after = seq end
local running = redis.call('HMGET', turn, 'lease', 'start')
local lease_ms = running[1] and (lease_expired(running[1]) and -1 or tonumber(running[1]) - clock) or ''
local found, typists = {}, desk and redis.call('HMGET', typing, 'operator', 'visitor') or {}
local notes = desk and redis.call('XLEN', base .. 'notes') or 0

-- A reader whose cursor is gone goes on from here: from the first event of a running answer, where it is still there.
local function reset_reply() return {'reset', turn_start_cursor(running[2] or seq), lease_ms, {}, typists, notes} end
if after > seq then return reset_reply() end
if after < seq then
  found = redis.call('XRANGE', events, (after + 1) .. '-0', '+', 'COUNT', ARGV[3])
  if not found[1] or found[1][1] ~= (after + 1) .. '-0' then return reset_reply() end
end
local flat = {}
for i = 1, #found do flat[2 * i - 1], flat[2 * i] = found[i][2][2], found[i][2][4] end
return {'ok', after, lease_ms, flat, typists, notes}
