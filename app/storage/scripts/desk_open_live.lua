-- The last number of the desk's changes, and the tag of their numbering, which begins anew where it was lost.
-- KEYS[1]: the position; ARGV: a new tag, ms to keep it.
redis.call('HSETNX', KEYS[1], 'tag', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local position = redis.call('HMGET', KEYS[1], 'n', 'tag')
return {tonumber(position[1] or 0), position[2]}
