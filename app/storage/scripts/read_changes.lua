-- @include clock
-- What the desk's index and the event queue want to know of some sessions. KEYS: their meta keys; ARGV: FIELDS of desk_rows.py.
-- Returns the time, and for each session '' where it is gone, 'moved' while it moves to its user, else: the number of this
-- snapshot, the fields, its newest message, the operators and what they have read, its outbox.
-- Snapshots of one session are numbered, so that an older one never replaces a newer one.
local CREATED, REF = 1, nil  -- where these are among the fields; 'created' is the first
for i, name in ipairs(ARGV) do if name == 'ref' then REF = i end end

local function summary(meta)
  local base = string.sub(meta, 1, -5)
  local fields = redis.call('HMGET', meta, unpack(ARGV))
  if not fields[CREATED] then return redis.call('EXISTS', base .. 'moved') == 1 and 'moved' or '' end
  if not fields[REF] then  -- it keeps its first ref, also where a claim gives it another hash
    fields[REF] = 'cnv_' .. string.sub(base, 8, 31)
    redis.call('HSET', meta, 'ref', fields[REF])
  end
  local number = redis.call('HINCRBY', meta, 'snapshots', 1)
  for i = 1, #ARGV do fields[i] = fields[i] or '' end
  local newest = redis.call('XREVRANGE', base .. 'history', '+', '-', 'COUNT', 1)[1]
  local outbox = redis.call('XRANGE', base .. 'outbox', '-', '+')
  for i = 1, #outbox do outbox[i] = outbox[i][2][2] end
  return {number, fields, newest and newest[2][2] or '', redis.call('HGETALL', base .. 'reads'), outbox}
end

local found = {clock}
for i = 1, #KEYS do found[i + 1] = summary(KEYS[i]) end
return found
