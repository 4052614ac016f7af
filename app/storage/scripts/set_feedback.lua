--! clock session write
-- ARGV: who, message number, rating JSON ('' takes it back). Returns the message and its rating.
local json = entry(ARGV[2])
if not json or string.match(json, '"role":"(%a+)"') ~= 'assistant' then return {'unknown'} end
if ARGV[3] == '' then redis.call('HDEL', ratings, ARGV[2]) else redis.call('HSET', ratings, ARGV[2], ARGV[3]) end
redis.call('HSET', meta, 'rated', 1)
redis.call('PEXPIREAT', ratings, expires)
return {'ok', json}
