-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Ends a turn with exactly one last event.
-- ARGV: actor, ttl, max age, turn id ('' any), outcome (end, stopped, error), code, detail, metadata JSON,
--       citations JSON, byte offset, last text, '1' to end it only where its worker is lost, grace period for that in ms,
--       '1' for an error that the same question would meet again, '1' where the engine did not know,
--       where it hands over to a person: 'bot' (nobody is there) or the position in the queue; its reason.
-- KEYS after the first: the engine calls that run, in all and for one address, where its slot is given back too.
-- Returns the type and the JSON of the last event, and the id and the address of the turn, by which its slot is found.
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], ARGV[4]) end
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question', 'begun', 'first', 'address')
local id = running[1]
if not id or (ARGV[4] ~= '' and ARGV[4] ~= id) then
  refresh_ttl_for_wait()
  return {'closed'}
end
if ARGV[12] == '1' then
  if not lease_expired(running[2]) then return {'alive'} end
  -- After a jump of the clock every lease looks expired: a living worker renews its own within the grace period.
  local lease, suspected_at = string.match(redis.call('HGET', turn, 'doubt') or '', '^(%d+):(%d+)$')
  if lease ~= running[2] or tonumber(suspected_at) > clock then
    suspected_at = clock
    redis.call('HSET', turn, 'doubt', running[2] .. ':' .. string.format('%.0f', clock))
  end
  local grace = tonumber(suspected_at) + tonumber(ARGV[13]) - clock
  if grace > 0 then return {'lease_suspected', grace} end
end
if ARGV[12] ~= '1' and has_gap(tonumber(ARGV[10])) then
  refresh_ttl_for_wait()
  return {'gap'}
end
if ARGV[11] ~= '' then append_text(id, tonumber(ARGV[10]), ARGV[11], true) end
local kind, data = close_turn(running, {
  outcome = ARGV[5], code = ARGV[6], detail = ARGV[7], metadata = ARGV[8], citations = ARGV[9],
  final = ARGV[14] == '1', not_found = ARGV[15] == '1',
})
if desk and ARGV[16] ~= '' and handler == '' and not ended then
  if ARGV[17] ~= '' then redis.call('HSET', meta, 'reason', ARGV[17]) end
  if ARGV[16] == 'bot' then record('human.requested', ',"by":"engine","available":false')
  else enqueue('engine', ARGV[16], 'engine') end
end
save(ARGV[12] ~= '1', tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return {'ok', kind, data, id, running[7] or ''}
