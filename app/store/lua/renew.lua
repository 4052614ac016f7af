--! clock
-- Keeps a claim on the engine budget alive, also where a clock that jumped took it away. KEYS: those running.
-- ARGV: member, lease ms.
redis.call('ZADD', KEYS[1], clock + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return {1}
