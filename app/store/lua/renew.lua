--! clock
-- Keeps a claim on the engine budget alive. KEYS: those running. ARGV: member, lease ms.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
end
return {1}
