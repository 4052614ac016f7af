-- @include clock
-- @include session
-- @include event_cursor
-- @no-writes
-- The session's state and some of its messages. ARGV: actor, direction ('' newest, after, before), number, max messages.
local running = redis.call('HMGET', turn, 'start', 'lease', 'id')
local more = redis.call('HMGET', meta, 'metadata', 'rated', 'handler', 'op_name', 'ref')
local head = {'ok', now, created, last_seen, updated, expires, ended or '', count, seq,
  running[1] and turn_start_cursor(running[1]) or '', running[2] and lease_expired(running[2]) and 1 or 0,
  running[3] or '', more[1] or '', more[2] or '', desk and (more[3] or 'bot') or '', more[4] or '', more[5] or ''}
local max = tonumber(ARGV[4])
local found = {}
if max > 0 then
  if ARGV[2] ~= '' and not get_message(ARGV[3]) then return {'unknown'} end
  if ARGV[2] == 'after' then
    found = redis.call('XRANGE', messages, '(' .. ARGV[3] .. '-0', '+', 'COUNT', max + 1)
  elseif ARGV[2] == 'before' then
    found = redis.call('XREVRANGE', messages, '(' .. ARGV[3] .. '-0', '-', 'COUNT', max + 1)
  else
    found = redis.call('XREVRANGE', messages, '+', '-', 'COUNT', max + 1)
  end
end
for i = 1, #found do found[i] = found[i][2][2] end
return {head, found}
