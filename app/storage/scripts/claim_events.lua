-- @include clock
-- @include event_queue
-- Gives a worker events to send, one a session: those whose time has come, of workers that died too, then new ones.
-- ARGV: the worker's name in the group, ms after which others may claim what it was given, max events, the longest delay ms.
-- Returns how many events are in the queue, the time, how many entries were no events (they are dead letters now), and of each
-- event: entry, ref, id, type, body, attempts so far.
local queue, worker, lease, max = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local due, first, tries, reminders = queue .. ':due', queue .. ':first', queue .. ':tries', queue .. ':reminders'
local claimed, broken, MAX_SCANNED = {}, 0, 500

redis.call('XTRIM', queue .. ':dead', 'MINID', string.format('%.0f', clock - QUEUE_KEPT_MS))
for _, ref in ipairs(redis.call('ZRANGEBYSCORE', reminders, '-inf', clock, 'LIMIT', 0, 100)) do
  local id, body = string.match(redis.call('HGET', queue .. ':reminder', ref) or '', '^(%S+) (.*)$')
  if id then add_event(queue, id .. '_reminder', ref, 'human.requested', body) end
  forget_reminder(queue, ref)
end
if redis.call('EXISTS', queue) == 0 then return {0, clock, 0} end

local function parse(fields)
  local event = {}
  for i = 1, #fields, 2 do event[fields[i]] = fields[i + 1] end
  return event
end

local function give(entry, event)
  redis.call('ZADD', due, clock + lease, entry .. ' ' .. event.ref)
  local attempts = string.match(redis.call('HGET', tries, entry) or '0', '^%d+')
  claimed[#claimed + 1] = {entry, event.ref, event.id, event.type, event.body, tonumber(attempts)}
end

-- Times from before the clock was set back would let an event wait for too long.
local latest = string.format('%.0f', clock + math.max(lease, tonumber(ARGV[4])))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '(' .. latest, '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', due, clock, member)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', clock, 'LIMIT', 0, max)) do
  local entry, ref = string.match(member, '^(%S+) (.*)$')
  local entries = redis.pcall('XCLAIM', queue, 'senders', worker, 0, entry)
  if entries[1] and entries[1][2] then
    give(entry, parse(entries[1][2]))
  else  -- dropped because the queue was full, or lost with the group
    remove_event(queue, entry, ref, clock)
  end
end

local scanned = 0
while #claimed < max and scanned < MAX_SCANNED do
  local count = max - #claimed
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'senders', worker, 'COUNT', count, 'STREAMS', queue, '>')
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then return reply end
    redis.call('XGROUP', 'CREATE', queue, 'senders', 0)
    reply = redis.call('XREADGROUP', 'GROUP', 'senders', worker, 'COUNT', count, 'STREAMS', queue, '>')
  end
  if not reply then break end
  for _, item in ipairs(reply[1][2]) do
    local entry, event = item[1], parse(item[2])
    local ref = event.ref or ''
    if ref == '' or not (event.id and event.type and event.body) then  -- another program has written it
      bury(queue, entry, {id = event.id or entry, ref = ref, type = event.type or '', body = event.body or ''}, 0, 'not an event')
      redis.call('XACK', queue, 'senders', entry)
      redis.call('XDEL', queue, entry)
      broken = broken + 1
    elseif redis.call('HEXISTS', first, ref) == 1 then
      redis.call('RPUSH', queue .. ':held:' .. ref, entry)
      keep_queue(queue, {':held:' .. ref})
    else
      redis.call('HSET', first, ref, entry)
      give(entry, event)
    end
  end
  scanned = scanned + #reply[1][2]
end
-- While there is nothing to send: forgets the names of workers that are long gone and had nothing left.
if #claimed == 0 then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', queue, 'senders')) do
    local name, pending, idle = consumer[2], consumer[4], consumer[6]
    if pending == 0 and idle > lease * 10 then redis.call('XGROUP', 'DELCONSUMER', queue, 'senders', name) end
  end
end
if #claimed > 0 then keep_queue(queue, {'', ':due', ':first', ':tries'}) end
return {redis.call('XLEN', queue), clock, broken, unpack(claimed)}
