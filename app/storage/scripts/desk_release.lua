-- Gives a lease back. KEYS[1]: the lease; ARGV: this worker.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'ok'}
