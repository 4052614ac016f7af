-- Gives a slot of the engine budget back. KEYS: the calls that run, the calls of this minute, the calls that run for one
-- address. ARGV: member, '1' where no call was made, so that it does not count for the minute either.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[2] == '1' and tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then redis.call('DECR', KEYS[2]) end
return {'ok'}
