-- Included by verbs that operators (`desk`) or the owner's own systems (`tracking`) learn of. Both are false unless switched
-- on, and then nothing here does anything. What happened goes to the session's outbox, in the same atomic step; the session is
-- marked in CHANGES, where a worker finds it (app/conversations/change_tracker.py).
local CHANGES = 'baton:changes:{desk}'
local outbox, notes, reads = base .. 'outbox', base .. 'notes', base .. 'reads'
local handler, operator, operator_name = desk and session[12] or '', session[13] or '', session[14] or ''
local waiting, recorded = tonumber(session[15] or 0), false

-- Adds a domain event. `more`: its other members as JSON, each after a comma.
local function record(kind, more)
  if not tracking then return end
  outbox_number = outbox_number + 1
  local json = '{"n":' .. outbox_number .. ',"type":"' .. kind .. '","at":' .. string.format('%.0f', now) .. (more or '') .. '}'
  redis.call('XADD', outbox, 'MAXLEN', '~', 1000, outbox_number .. '-0', 'j', json)
  recorded = true
end

-- Counts a question of the visitor; of the domain events only the first one of a conversation matters.
local function count_question()
  if asked == 0 then record('question', ',"first":true') end
  asked = asked + 1
end

-- Marks the session as changed. In a Cluster the mark is on another node: there the caller sets it before the verb.
local function mark_changed()
  if not tracking then return end
  if not ref or asked ~= stored_asked or outbox_number ~= stored_outbox then
    ref = ref or 'cnv_' .. string.sub(base, 8, 31)
    redis.call('HSET', meta, 'ref', ref, 'outbox', outbox_number, 'asked', asked)
  end
  if recorded then redis.call('PEXPIREAT', outbox, expires) end
  redis.pcall('ZADD', CHANGES, clock, string.sub(base, 8, 39))
end
