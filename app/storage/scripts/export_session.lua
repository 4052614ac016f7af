-- @include clock
-- Migrates an anonymous session to a user, first step: takes it out of its old keys.
-- ARGV: user, encrypted new id, ms for which the caller alone may import it, hash of the new id.
-- From now on only that user finds it; tickets and feeds end. Its data waits under `moved`, with its expiry, until it is
-- imported under the new id. Asked again, the user gets the same new id, and the data if it is not imported yet.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local moved = base .. 'moved'
local moved_keys = {'history', 'cids', 'ratings', 'notes', 'reads', 'outbox'}
local session = redis.call('HMGET', meta, 'created', 'owner', 'ended')
if session[1] then
  if session[2] then return {session[2] == ARGV[1] and 'owned' or 'not_owner'} end
  if session[3] then return {'ended'} end
  local lease = redis.call('HGET', base .. 'turn', 'lease')
  if lease then return {lease_expired(lease) and 'turn_expired' or 'busy'} end
  redis.call('RENAME', meta, moved)
  redis.call('HSET', moved, 'user', ARGV[1], 'to', ARGV[2], 'hash', ARGV[4])
  for _, name in ipairs(moved_keys) do
    if redis.call('EXISTS', base .. name) == 1 then redis.call('RENAME', base .. name, moved .. ':' .. name) end
  end
  redis.call('DEL', base .. 'live', base .. 'said', base .. 'tickets', base .. 'feeds', base .. 'typing')
  redis.call('PUBLISH', base .. 'bell', '')
end
local migration = redis.call('HMGET', moved, 'user', 'to', 'till', 'created')
if migration[1] ~= ARGV[1] then return {'not_found'} end
if not migration[4] then return {'migrated', migration[2]} end
local wait = tonumber(migration[3] or 0) - now
if wait > 0 and wait <= tonumber(ARGV[3]) then return {'wait', wait} end
redis.call('HSET', moved, 'till', now + ARGV[3])
return {'migrate', migration[2], redis.call('HGETALL', moved), redis.call('XRANGE', moved .. ':history', '-', '+'),
  redis.call('HGETALL', moved .. ':cids'), redis.call('HGETALL', moved .. ':ratings'),
  redis.call('XRANGE', moved .. ':notes', '-', '+'), redis.call('HGETALL', moved .. ':reads'),
  redis.call('XRANGE', moved .. ':outbox', '-', '+')}
