-- @include clock
-- Counts one call in a fixed window. KEYS[1]: the count; ARGV: limit, window ms.
-- Returns 1 where the call is within the limit, the calls that remain, and the ms until the window ends.
local used, limit, window = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1]), tonumber(ARGV[2])
if used >= limit then return {0, 0, window_remaining(KEYS[1], window)} end
redis.call('INCR', KEYS[1])
if used == 0 then redis.call('PEXPIRE', KEYS[1], window) end
return {1, limit - used - 1, window_remaining(KEYS[1], window)}
