--! clock session write
-- ARGV: who. Ends the session for good; its history stays until it expires.
if ended then
  again()
else
  redis.call('HSET', meta, 'ended', 1)
  redis.call('DEL', tickets)
  emit('session', '{"status":"ended"}')
  save(false)
  ring()
end
return {'ok'}
