--! clock
-- An anonymous session becomes a user's, under a new id. This is what happens at its old place.
-- ARGV: the user, the new id sealed, ms for which whoever gets it all may carry it.
-- At once it is gone for everybody but him, with its tickets and feeds; what it holds waits under `moved`, its expiry
-- kept, until it stands at the new place. Asked again, he gets the same new id, and what is still to be carried.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local moved = base .. 'moved'
local kept = {'history', 'cids', 'ratings'}
local m = redis.call('HMGET', meta, 'created', 'owner', 'ended')
if m[1] then
  if m[2] then return {m[2] == ARGV[1] and 'mine' or 'not_owner'} end
  if m[3] then return {'ended'} end
  local lease = redis.call('HGET', base .. 'turn', 'lease')
  if lease then return {over(lease) and 'dead' or 'busy'} end
  redis.call('RENAME', meta, moved)
  redis.call('HSET', moved, 'user', ARGV[1], 'to', ARGV[2])
  for _, name in ipairs(kept) do
    if redis.call('EXISTS', base .. name) == 1 then redis.call('RENAME', base .. name, moved .. ':' .. name) end
  end
  redis.call('DEL', base .. 'live', base .. 'said', base .. 'tickets', base .. 'feeds')
  redis.call('PUBLISH', base .. 'bell', '')
end
local found = redis.call('HMGET', moved, 'user', 'to', 'till', 'created')
if found[1] ~= ARGV[1] then return {'gone'} end
if not found[4] then return {'moved', found[2]} end
local left = tonumber(found[3] or 0) - now
if left > 0 and left <= tonumber(ARGV[3]) then return {'wait', left} end
redis.call('HSET', moved, 'till', now + ARGV[3])
return {'carry', found[2], redis.call('HGETALL', moved), redis.call('XRANGE', moved .. ':history', '-', '+'),
  redis.call('HGETALL', moved .. ':cids'), redis.call('HGETALL', moved .. ':ratings')}
