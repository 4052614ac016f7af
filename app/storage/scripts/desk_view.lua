-- @include clock
-- An operator looks at a conversation, or leaves it. KEYS[1]: who looks at it, by when they are taken to have left.
-- ARGV: "<id> <name>" ('' asks only), ms until they have left ('0' now). Returns who looks at it.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', clock)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
elseif ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], clock + ARGV[2], ARGV[1])
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return redis.call('ZRANGE', KEYS[1], 0, -1)
