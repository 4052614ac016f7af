-- @include clock
-- What the desk's index and the event queue want to know of some sessions. KEYS: their meta keys.
-- Returns the time, and for each session '' where it is gone, 'moved' while it moves to its user, else: the fields below,
-- its newest message, the operators and what they have read, its outbox.
-- Snapshots of one session are numbered, so that an older one never replaces a newer one.
local FIELDS = {'created', 'expires', 'ended', 'owner', 'count', 'seen', 'updated', 'handler', 'op', 'op_name', 'waiting',
  'contact', 'user', 'ref', 'told', 'asked', 'metadata', 'present', 'outbox', 'reason', 'requested', 'rated_at'}
local REF = 14

local function summary(meta)
  local base = string.sub(meta, 1, -5)
  local fields = redis.call('HMGET', meta, unpack(FIELDS))
  if not fields[1] then return redis.call('EXISTS', base .. 'moved') == 1 and 'moved' or '' end
  if not fields[REF] then  -- it keeps its first ref, also where a claim gives it another hash
    fields[REF] = 'cnv_' .. string.sub(base, 8, 31)
    redis.call('HSET', meta, 'ref', fields[REF])
  end
  local number = redis.call('HINCRBY', meta, 'snapshots', 1)
  for i = 1, #FIELDS do fields[i] = fields[i] or '' end
  local newest = redis.call('XREVRANGE', base .. 'history', '+', '-', 'COUNT', 1)[1]
  local outbox = redis.call('XRANGE', base .. 'outbox', '-', '+')
  for i = 1, #outbox do outbox[i] = outbox[i][2][2] end
  return {number, fields, newest and newest[2][2] or '', redis.call('HGETALL', base .. 'reads'), outbox}
end

local found = {clock}
for i = 1, #KEYS do found[i + 1] = summary(KEYS[i]) end
return found
