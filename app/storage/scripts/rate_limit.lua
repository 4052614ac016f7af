--! clock
-- A fixed window. KEYS[1] counts; ARGV: limit, window ms. Returns admitted, what is left, ms until it is whole again.
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local limit = tonumber(ARGV[1])
if used >= limit then return {0, 0, window_left(KEYS[1], tonumber(ARGV[2]))} end
redis.call('INCR', KEYS[1])
if used == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {1, limit - used - 1, window_left(KEYS[1], tonumber(ARGV[2]))}
