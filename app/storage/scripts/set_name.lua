-- Makes the entry of a name lead to a session, unless somebody else was faster. KEYS[1]: the entry.
-- ARGV: its value as the caller knows it ('' none), its new value, when it expires.
local value = redis.call('GET', KEYS[1]) or ''
if value ~= ARGV[1] and value ~= ARGV[2] then return {'taken'} end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return {'ok'}
