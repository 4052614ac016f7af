--! clock
-- Keeps a claim on the engine budget alive, also where a clock that jumped took it away. KEYS: those running,
-- in all and for the address. ARGV: member, lease ms.
for _, running in ipairs(KEYS) do
  redis.call('ZADD', running, clock + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', running, ARGV[2] * 2)
end
return {1}
