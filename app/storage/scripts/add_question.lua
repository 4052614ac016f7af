-- @include clock
-- Keeps a question that was not answered, with those of its group. KEYS[1]: ids by when they were last asked; each has a hash of
-- its own behind that name. ARGV: id of the group, text, ms for which it is kept, how many groups are kept.
local question = KEYS[1] .. ':' .. ARGV[1]
redis.call('HSETNX', question, 'first', clock)
redis.call('HINCRBY', question, 'count', 1)
redis.call('HSET', question, 'text', ARGV[2], 'last', clock)
redis.call('ZADD', KEYS[1], clock, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', clock - ARGV[3]))
for _, key in ipairs({question, KEYS[1]}) do redis.call('PEXPIRE', key, ARGV[3]) end
for _, old in ipairs(redis.call('ZRANGE', KEYS[1], 0, -tonumber(ARGV[4]) - 1)) do
  redis.call('DEL', KEYS[1] .. ':' .. old)
  redis.call('ZREM', KEYS[1], old)
end
return {'ok'}
