-- @include clock
-- @no-writes
-- Everybody at the desk. KEYS: operators, available, present. Returns the clock, and each as it is.
return {
  clock,
  redis.call('HGETALL', KEYS[1]),
  redis.call('SMEMBERS', KEYS[2]),
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
}
