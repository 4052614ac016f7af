--! clock
-- The session stands at its new place: of the old one only the way there is left, for a while and for him alone.
-- ARGV: the user, ms.
local moved = string.sub(KEYS[1], 1, -5) .. 'moved'
local found = redis.call('HMGET', moved, 'user', 'to', 'created')
if found[1] == ARGV[1] and found[3] then
  redis.call('DEL', moved, moved .. ':history', moved .. ':cids', moved .. ':ratings')
  redis.call('HSET', moved, 'user', found[1], 'to', found[2])
  redis.call('PEXPIRE', moved, ARGV[2])
  redis.call('PUBLISH', string.sub(KEYS[1], 1, -5) .. 'bell', '')
end
return {'ok'}
