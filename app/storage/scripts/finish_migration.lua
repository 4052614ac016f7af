-- @include clock
-- Migrates an anonymous session to a user, last step: of the old keys only the new id remains, for a while, for that user.
-- ARGV: user, ms.
local moved = string.sub(KEYS[1], 1, -5) .. 'moved'
local migration = redis.call('HMGET', moved, 'user', 'to', 'created', 'hash')
if migration[1] == ARGV[1] and migration[3] then
  redis.call('DEL', moved, moved .. ':history', moved .. ':cids', moved .. ':ratings', moved .. ':notes', moved .. ':reads',
    moved .. ':outbox')
  redis.call('HSET', moved, 'user', migration[1], 'to', migration[2], 'hash', migration[4] or '')
  redis.call('PEXPIRE', moved, ARGV[2])
  redis.call('PUBLISH', string.sub(KEYS[1], 1, -5) .. 'bell', '')
end
return {'ok'}
