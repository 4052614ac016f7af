-- Included by every verb that writes to a session: one counter numbers its events and messages.
if now < updated then now = updated end  -- a clock that was set back must not make negative ages

local function emit(kind, data)
  seq = seq + 1
  redis.call('XADD', live, 'MAXLEN', '~', 20000, seq .. '-0', 'k', kind, 'd', data)
end

-- Stores a message (its JSON without the opening brace, id and time) and returns its whole JSON.
local function store(rest)
  local json = '{"id":"msg_' .. (seq + 1) .. '_' .. tag .. '","created_at":"' .. stamp(now) .. '",' .. rest
  redis.call('XADD', history, (seq + 1) .. '-0', 'j', json)
  count = count + 1
  return json
end

-- Counts one call against the session's limit; the ms to wait where it is used up.
local function limited(limit, window)
  if limit == 0 then return nil end
  if clock - window_start >= window or clock < window_start then window_start, spent = clock, 0 end
  if spent >= limit then return window_start + window - clock end
  spent = spent + 1
  return nil
end

-- Writes the counters and gives every key its expiry. `active`: this call is activity, so the session lives on.
local function save(active, ttl, max_age)
  if active then
    seen = now
    expires = math.min(now + ttl, created + max_age)
  end
  updated = now
  redis.call('HSET', meta, 'expires', expires, 'count', count, 'seq', seq, 'seen', seen, 'updated', updated,
    'window', window_start, 'spent', spent)
  for _, key in ipairs({meta, history, turn, said, cids, tickets, ratings}) do
    redis.call('PEXPIREAT', key, expires)
  end
  -- The events outlive the last of them only for a while, unless an answer is being made: its words are needed.
  if redis.call('EXISTS', turn) == 1 then
    redis.call('PEXPIREAT', live, expires)
  else
    redis.call('PEXPIREAT', live, math.min(expires, now + 300000))
  end
end

-- A retry of what is done already writes this and nothing else, so that WAIT waits for what its first try wrote.
local function again() redis.call('PEXPIREAT', meta, expires) end

local function ring() redis.call('PUBLISH', base .. 'bell', seq) end

-- The visitor is there: an abandoned session is active again, and lives on.
local function here(ttl, max_age, idle)
  if now - seen >= tonumber(idle) then
    emit('session', '{"status":"active"}')
    ring()
  end
  save(true, tonumber(ttl), tonumber(max_age))
end
