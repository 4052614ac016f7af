--! clock
-- Feeds open at once, each with a claim that it renews. KEYS[1]: the claims of a session or an address;
-- KEYS[2]: the session's meta key, where it is a session's. ARGV: feed, most, lease ms. Returns 1 where there is a place.
clear(KEYS[1], ARGV[3])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return {0} end
local till = clock + ARGV[3]
if KEYS[2] then till = math.min(till, tonumber(redis.call('HGET', KEYS[2], 'expires') or 0)) end
redis.call('ZADD', KEYS[1], clock + ARGV[3], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], till)
return {1}
