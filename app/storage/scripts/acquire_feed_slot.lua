-- @include clock
-- Takes or renews a slot for an open feed. KEYS[1]: the feeds of a session or an address, sorted by when their slot
-- expires; KEYS[2]: the session's meta key, where it is a session's. ARGV: feed, max feeds, slot ms. Returns 1, or 0
-- where all slots are taken.
drop_expired_slots(KEYS[1], ARGV[3])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return {0} end
local expires_at = clock + ARGV[3]
if KEYS[2] then expires_at = math.min(expires_at, tonumber(redis.call('HGET', KEYS[2], 'expires') or 0)) end
redis.call('ZADD', KEYS[1], clock + ARGV[3], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], expires_at)
return {1}
