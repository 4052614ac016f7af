-- @no-writes
-- The hashes of the sessions that have waited for longest. KEYS[1]: the queue; ARGV: max.
local refs, hashes = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1), {}
for i = 1, #refs do hashes[i] = redis.call('HGET', 'baton:desk:{desk}:row:' .. refs[i], 'hash') or '' end
return hashes
