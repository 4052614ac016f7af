--! clock
-- Engine calls of the whole service. KEYS: those running (sorted by when their claim ends), calls this minute, those
-- running for one address. ARGV: member, most at once, most a minute, lease ms, most at once for one address.
-- Returns 0, or the ms to wait.
clear(KEYS[1], ARGV[4])
clear(KEYS[3], ARGV[4])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return {1000} end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[5]) then return {1000} end
local calls = tonumber(redis.call('GET', KEYS[2]) or 0)
local rest = calls > 0 and window_left(KEYS[2], 60000)
if calls >= tonumber(ARGV[3]) then return {rest or 60000} end
redis.call('INCR', KEYS[2])
if calls == 0 then redis.call('PEXPIRE', KEYS[2], 60000) end
for _, running in ipairs({KEYS[1], KEYS[3]}) do
  redis.call('ZADD', running, clock + ARGV[4], ARGV[1])
  redis.call('PEXPIRE', running, ARGV[4] * 2)
end
return {0}
