-- Included by every verb that writes to a session. One counter, `seq`, numbers its events and messages.
if now < updated then now = updated end  -- a clock that was set back must not make ages negative

-- A session of the service's owner keeps more events: its clients may replay an answer for as long as it lives.
local function append_event(kind, data)
  seq = seq + 1
  redis.call('XADD', events, 'MAXLEN', '~', session[4] == '*' and 100000 or 20000, seq .. '-0', 'k', kind, 'd', data)
end

-- Stores a message (its JSON without the opening brace, id and time) and returns its whole JSON.
local function append_message(rest_of_message)
  local json = '{"id":"msg_' .. (seq + 1) .. '_' .. session_tag .. '","created_at":"' .. iso8601(now) .. '",' .. rest_of_message
  redis.call('XADD', messages, (seq + 1) .. '-0', 'j', json)
  count = count + 1
  return json
end

-- Counts one call against the session's rate limit. Ms to wait where it is used up, else nil.
local function session_rate_limited(limit, window)
  if limit == 0 then return nil end
  if clock - limit_window >= window or clock < limit_window then limit_window, limit_used = clock, 0 end
  if limit_used >= limit then return limit_window + window - clock end
  limit_used = limit_used + 1
  return nil
end

-- The entries of the session's names expire with it. In a Cluster they are in other slots, which fails here: there each is
-- kept for as long as its session can live.
local function extend_names()
  for entry in string.gmatch(session[11], '%S+') do
    local value = redis.pcall('GET', entry)
    if type(value) == 'string' and string.sub(value, 1, 32) == string.sub(base, 8, 39) then
      redis.pcall('PEXPIREAT', entry, expires)
    end
  end
end

-- Writes the counters and sets every key's expiry. `active`: the call is activity, which extends the session's life;
-- 'operator': it is an operator's, so the visitor was not seen.
local function save(active, ttl, max_age)
  if active then
    if active ~= 'operator' then last_seen = now end
    expires = math.min(now + ttl, created + max_age)
  end
  updated = now
  local stored = {'expires', expires, 'count', count, 'seq', seq, 'seen', last_seen, 'updated', updated,
    'window', limit_window, 'spent', limit_used, 'asked', asked, 'outbox', outbox_number}
  redis.call('HSET', meta, unpack(stored, 1, tracking and 18 or 14))
  stored_asked, stored_outbox = asked, outbox_number
  for _, key in ipairs({meta, messages, turn, answer_text, client_ids, tickets, ratings}) do
    redis.call('PEXPIREAT', key, expires)
  end
  -- What operators add expires with the session, to the second, or half a minute where it lives for longer: every message
  -- would pay for more.
  local step = expires - now > 300000 and 30000 or 1000
  if tracking and math.floor(expires / step) ~= math.floor(session[2] / step) then
    for _, name in ipairs({'notes', 'reads'}) do redis.call('PEXPIREAT', base .. name, expires) end
  end
  if session[11] then extend_names() end
  -- Events are kept for five minutes after the last one, but at least until a running answer is done; in a session of the
  -- service's owner, whose clients may replay an answer later, for as long as the session.
  if session[4] == '*' or redis.call('EXISTS', turn) == 1 then
    redis.call('PEXPIREAT', events, expires)
  else
    redis.call('PEXPIREAT', events, math.min(expires, now + 300000))
  end
end

-- A replay refreshes the expiry, so that WAIT covers what the first call wrote.
local function refresh_ttl_for_wait() redis.call('PEXPIREAT', meta, expires) end

local function notify() redis.call('PUBLISH', base .. 'bell', seq) end

-- The visitor is there: an abandoned session becomes active again. Returns whether others should learn of it: the desk's
-- lists show when somebody was last seen to the minute.
local function mark_seen(ttl, max_age, idle)
  local is_new_minute = math.floor(now / 60000) ~= math.floor(last_seen / 60000)
  local was_away = now - last_seen >= tonumber(idle)
  if was_away then
    append_event('session', '{"status":"active"}')
    notify()
  end
  save(true, tonumber(ttl), tonumber(max_age))
  return is_new_minute or was_away or tonumber(ttl) < 120000  -- a row of the lists must not expire before its session
end
