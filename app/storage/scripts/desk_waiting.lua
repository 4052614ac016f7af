-- @no-writes
-- The hashes of the sessions that have waited for longest. KEYS[1]: the queue; ARGV: max.
local found = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
for i = 1, #found do found[i] = redis.call('HGET', 'baton:desk:{desk}:row:' .. found[i], 'hash') or '' end
return found
