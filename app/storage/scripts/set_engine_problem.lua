-- Stores what is wrong with the engine. ARGV: one line, '' where nothing is; ms to keep it.
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {'ok'}
