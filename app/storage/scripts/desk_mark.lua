-- @include clock
-- Marks a session as changed. KEYS[1]: the marks; ARGV: its hash (and ref), ms to keep the marks.
redis.call('ZADD', KEYS[1], clock, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'ok'}
