--! clock session event_cursor no-writes
-- ARGV: who, direction ('', after, before), number, most messages (0: none)
local turn_now = redis.call('HMGET', turn, 'start', 'lease', 'id')
local more = redis.call('HMGET', meta, 'metadata', 'rated')
local head = {'ok', now, created, seen, updated, expires, ended or '', count, seq,
  turn_now[1] and place_of(turn_now[1]) or '', turn_now[2] and over(turn_now[2]) and 1 or 0, turn_now[3] or '', more[1] or '',
  more[2] or ''}
local most = tonumber(ARGV[4])
local found = {}
if most > 0 then
  if ARGV[2] ~= '' and not entry(ARGV[3]) then return {'unknown'} end
  if ARGV[2] == 'after' then
    found = redis.call('XRANGE', history, '(' .. ARGV[3] .. '-0', '+', 'COUNT', most + 1)
  elseif ARGV[2] == 'before' then
    found = redis.call('XREVRANGE', history, '(' .. ARGV[3] .. '-0', '-', 'COUNT', most + 1)
  else
    found = redis.call('XREVRANGE', history, '+', '-', 'COUNT', most + 1)
  end
end
for i = 1, #found do found[i] = found[i][2][2] end
return {head, found}
