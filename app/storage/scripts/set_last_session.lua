-- Stores a user's last session. ARGV: its hash and its encrypted id, ms to keep it.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'ok'}
