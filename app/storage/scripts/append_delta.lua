--! clock session write turn
-- ARGV: who, ttl, max age, turn id, lease ms, byte offset, text. No text: the lease alone.
if redis.call('HGET', turn, 'id') ~= ARGV[4] then return {'closed'} end
redis.call('HSET', turn, 'lease', clock + ARGV[5])
local told = grow(ARGV[4], tonumber(ARGV[6]), ARGV[7])
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
if told then ring() end
return {'ok'}
