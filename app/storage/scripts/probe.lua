-- Whether Redis takes writes: nothing is left of this one. KEYS: a key to write, the engine's problem.
-- Returns the problem, '' where there is none.
redis.call('SET', KEYS[1], 1, 'PX', 1000)
redis.call('DEL', KEYS[1])
return {'ok', redis.call('GET', KEYS[2]) or ''}
