-- Included by verbs that operators (`desk`) or the owner's own systems (`tracking`) learn of. Both are false unless switched
-- on, and then nothing here does anything. What happened goes to the session's outbox, in the same atomic step; the session is
-- marked in CHANGES, where a worker finds it (app/conversations/change_tracker.py).
local CHANGES = 'baton:changes:{desk}'
local outbox, notes, reads = base .. 'outbox', base .. 'notes', base .. 'reads'
local tracked = tracking and redis.call('HMGET', meta, 'handler', 'op', 'op_name', 'waiting', 'asked', 'ref', 'outbox') or {}
local handler, operator, operator_name = desk and tracked[1] or '', tracked[2] or '', tracked[3] or ''
local waiting, asked = tonumber(tracked[4] or 0), tonumber(tracked[5] or 0)
local ref, outbox_number = tracked[6], tonumber(tracked[7] or 0)

-- Adds a domain event. `more`: its other members as JSON, each after a comma.
local function record(kind, more)
  if not tracking then return end
  outbox_number = outbox_number + 1
  local json = '{"n":' .. outbox_number .. ',"type":"' .. kind .. '","at":' .. string.format('%.0f', now) .. (more or '') .. '}'
  redis.call('XADD', outbox, 'MAXLEN', '~', 1000, outbox_number .. '-0', 'j', json)
end

-- Marks the session as changed. In a Cluster the mark is on another node: there the caller sets it before the verb.
local function mark_changed()
  if not tracking then return end
  ref = ref or 'cnv_' .. string.sub(base, 8, 31)
  redis.call('HSET', meta, 'ref', ref, 'outbox', outbox_number, 'asked', asked)
  redis.call('PEXPIREAT', outbox, expires)
  redis.pcall('ZADD', CHANGES, clock, string.sub(base, 8, 39))
end
