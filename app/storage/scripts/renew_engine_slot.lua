-- @include clock
-- Renews a slot of the engine budget, also where a clock that jumped has removed it.
-- KEYS: the calls that run, in all and for one address. ARGV: member, slot ms.
for _, running in ipairs(KEYS) do
  redis.call('ZADD', running, clock + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', running, ARGV[2] * 2)
end
return {'ok'}
