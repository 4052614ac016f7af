-- The queue of events to the owner's own systems, in the desk's slot. `queue` is its stream; the group `senders` reads it.
-- Beside it, each with the name of the stream before its own:
--   :due        the first unsent event of every session ("<entry> <ref>"), by when it may be sent
--   :first      by ref: that entry. Later events of the session wait behind it in the list :held:<ref>
--   :tries      by entry: attempts so far, and the last problem
--   :reminders  refs of people who wait for a person, by when that is sent again; :reminder holds what is sent
--   :dead       a stream of what could not be delivered
local MAX_QUEUED, MAX_DEAD, QUEUE_KEPT_MS = 200000, 10000, 2592000000

local function keep_queue(queue, names)
  for _, name in ipairs(names) do redis.call('PEXPIRE', queue .. name, QUEUE_KEPT_MS) end
end

local function add_event(queue, id, ref, kind, body)
  redis.call('XADD', queue, 'MAXLEN', '~', MAX_QUEUED, '*', 'id', id, 'ref', ref, 'type', kind, 'body', body)
  keep_queue(queue, {''})
end

local function forget_reminder(queue, ref)
  redis.call('ZREM', queue .. ':reminders', ref)
  redis.call('HDEL', queue .. ':reminder', ref)
end

local ENDS_WAITING = {['human.taken'] = true, ['human.released'] = true, ['session.ended'] = true}

-- Puts an event at the end of the queue. `fields`: what `event_queue.entry` makes: id, ref, type, body, and of a request for a
-- person also when to send it again (ms) and with which body, unless somebody has taken them by then.
local function queue_event(queue, fields)
  local id, ref, kind, body, remind_at, reminder = unpack(fields)
  add_event(queue, id, ref, kind, body)
  if remind_at ~= '' then
    redis.call('ZADD', queue .. ':reminders', remind_at, ref)
    redis.call('HSET', queue .. ':reminder', ref, id .. ' ' .. reminder)
    keep_queue(queue, {':reminders', ':reminder'})
  elseif ENDS_WAITING[kind] then
    forget_reminder(queue, ref)
  end
end

-- Keeps what cannot be delivered as a dead letter. `event`: its id, ref, type and body.
local function bury(queue, entry, event, attempts, problem)
  redis.call('XADD', queue .. ':dead', 'MAXLEN', '~', MAX_DEAD, '*', 'id', event.id, 'ref', event.ref, 'type', event.type,
    'body', event.body, 'queued', entry, 'attempts', attempts, 'problem', problem)
  keep_queue(queue, {':dead'})
end

-- Removes the first event of a session from the queue: the one behind it may be sent.
local function remove_event(queue, entry, ref, now)
  redis.pcall('XACK', queue, 'senders', entry)
  redis.call('XDEL', queue, entry)
  redis.call('ZREM', queue .. ':due', entry .. ' ' .. ref)
  redis.call('HDEL', queue .. ':tries', entry)
  local held = redis.call('LPOP', queue .. ':held:' .. ref)
  if held then
    redis.call('HSET', queue .. ':first', ref, held)
    redis.call('ZADD', queue .. ':due', now, held .. ' ' .. ref)
    keep_queue(queue, {':due', ':first'})
  else
    redis.call('HDEL', queue .. ':first', ref)
  end
end
