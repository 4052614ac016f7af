--! clock session write turn
-- ARGV: who. Ends the session for good, a running answer with what was said so far; its history stays until it expires.
if ended then
  again()
else
  local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question')
  if running[1] then close_turn(running, {outcome = 'stopped', metadata = '{"stopped":true}', citations = '[]'}) end
  redis.call('HSET', meta, 'ended', 1)
  redis.call('DEL', tickets)
  emit('session', '{"status":"ended"}')
  save(false)
  ring()
end
return {'ok'}
