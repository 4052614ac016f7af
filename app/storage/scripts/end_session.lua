-- @include clock
-- @include session
-- @include write
-- @include turn
-- Ends the session for good, and a running answer with the text so far; the history stays until it expires. ARGV: actor.
if ended then
  refresh_ttl_for_wait()
else
  local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question')
  if running[1] then close_turn(running, {outcome = 'stopped', metadata = '{"stopped":true}', citations = '[]'}) end
  redis.call('HSET', meta, 'ended', 1)
  redis.call('DEL', tickets)
  append_event('session', '{"status":"ended"}')
  save(false)
  notify()
end
return {'ok'}
