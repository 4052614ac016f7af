--! clock
-- Which session of a user was his last. ARGV: its ref and its sealed id, ms.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'ok'}
