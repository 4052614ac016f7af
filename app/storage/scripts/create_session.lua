-- @include clock
-- @include new_session
-- @include track
-- Creates a session. ARGV: ttl ms, max age ms, metadata JSON, owner, entry of its name, JSON of its verified user.
-- Returns when it was created and when it expires.
redis.call('HSET', meta, 'created', now, 'seen', now, 'updated', now, 'expires', expires, 'count', 0, 'seq', 0)
if ARGV[3] ~= '' then redis.call('HSET', meta, 'metadata', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', meta, 'owner', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', meta, 'names', ARGV[5]) end
if tracking and ARGV[6] ~= '' then redis.call('HSET', meta, 'user', ARGV[6]) end
record('session.created')
mark_changed()
redis.call('PEXPIREAT', meta, expires)
return {'ok', now, expires}
