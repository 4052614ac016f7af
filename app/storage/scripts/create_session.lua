-- @include clock
-- Creates a session. ARGV: ttl ms, max age ms, metadata JSON, owner, entry of its name. Returns when it was created and when it expires.
local expires = now + math.min(tonumber(ARGV[1]), tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'created', now, 'seen', now, 'updated', now, 'expires', expires, 'count', 0, 'seq', 0)
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'metadata', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'owner', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'names', ARGV[5]) end
redis.call('PEXPIREAT', KEYS[1], expires)
return {'ok', now, expires}
