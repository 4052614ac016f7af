-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- Ends the session for good, and a running answer with the text so far; the history stays until it expires.
-- ARGV: actor, who ends it (visitor, operator or owner), an operator who may not end what others have ('' any may).
if ended then
  refresh_ttl_for_wait()
elseif ARGV[3] ~= '' and handler == 'human' and operator ~= ARGV[3] then
  return {'already_taken', operator_name}
else
  local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question', 'begun', 'first')
  if running[1] then close_turn(running, {outcome = 'stopped', metadata = '{"stopped":true}', citations = '[]'}) end
  redis.call('HSET', meta, 'ended', 1)
  redis.call('DEL', tickets)
  append_event('session', '{"status":"ended"}')
  record('session.ended', ',"by":"' .. ARGV[2] .. '"')
  if handler == 'queue' then redis.call('HDEL', meta, 'handler', 'waiting', 'position') end
  save(false)
  mark_changed()
  notify()
end
return {'ok'}
