-- @include clock
-- @include desk_index
-- @include event_queue
-- @include analytics
-- Brings conversations up to date in the index, and their domain events into the queue and the day's counts, each once.
-- KEYS: the marks of changed sessions, the queue of events. ARGV: ms for which the index is kept after its last change, and
-- for each session the JSON of a change as desk_index.py makes it. Returns the hashes whose snapshot was out of date.
local marks, kept_ms = KEYS[1], tonumber(ARGV[1])
local stale, changed, done, scores = {}, false, {}, {}
-- A row whose session lives on for longer than this is kept in steps: each of its changes moves the session's end a little.
local LONG_MS, STEP_MS = 300000, 30000

local function apply_events(change, applied)
  for _, event in ipairs(change.events) do
    if event.n > applied then
      if event.queued then queue_event(KEYS[2], event.queued) end
      if event.counted then count_event(event.counted) end
      applied = event.n
    end
  end
  return applied
end

-- Puts an entry into a set of the index; what was touched is kept from now on for its time, once at the end.
local touched = {}
local function add(set, score, ref)
  redis.call('ZADD', desk .. set, score, ref)
  touched[set] = true
end

-- `is_there`: it was in these views before.
local function put_in_views(change, is_there)
  local ref, view, operator, user = change.ref, change.view, change.operator, change.user
  if view ~= '' then add('view:' .. view, change.score, ref) end
  if operator ~= '' then add('view:mine:' .. operator, change.score, ref) end
  if user ~= '' and view ~= '' then add('user:' .. user, change.active, ref) end
  if change.expires then add('rows', change.expires, ref) end
  if change.seen then add('seen', change.seen, ref) else redis.call('ZREM', desk .. 'seen', ref) end
  if change.held then add('held', change.held, ref) end
  if is_there then return end
  leave_views(ref, view, operator, user)
  if not change.held then redis.call('ZREM', desk .. 'held', ref) end
  if operator == '' and user == '' then
    redis.call('HDEL', desk .. 'places', ref)
  else
    redis.call('HSET', desk .. 'places', ref, operator .. ' ' .. user)
    touched.places = true
  end
  if operator ~= '' then
    redis.call('SADD', desk .. 'holders', operator)
    touched.holders = true
  end
end

local function update(change)
  local row = desk .. 'row:' .. change.ref
  local old = redis.call('HMGET', row, 'number', 'applied', 'sig', 'hash', 'view', 'place', 'check')
  if old[1] and tonumber(old[1]) > change.number and old[4] == change.hash then return false end
  local place_name = change.view .. ' ' .. change.operator .. ' ' .. change.user
  if string.match(old[6] or '', '^%S* (%S*)') ~= change.operator then redis.call('HSET', row, 'since', clock) end
  local applied = apply_events(change, tonumber(old[2] or 0))
  local is_there = old[6] == place_name and old[4] == change.hash
  local expires = tonumber(string.match(old[7] or '', '%d+$') or 0)
  if is_there and expires > clock + LONG_MS and expires <= change.expires and change.expires < expires + STEP_MS then
    change.check = string.gsub(change.check, '%d+$', string.format('%.0f', expires))
    change.expires = nil
  end
  redis.call('HSET', row, 'number', change.number, 'applied', applied, 'sig', change.sig, 'json', change.json,
    'text', change.text, 'check', change.check)
  if not is_there then redis.call('HSET', row, 'hash', change.hash, 'view', change.view, 'place', place_name) end
  if change.expires then redis.call('PEXPIREAT', row, change.expires) end
  put_in_views(change, is_there)
  if old[3] ~= change.sig and (change.view ~= '' or (old[5] or '') ~= '') then
    append_live(change.ref)
    changed = true
  end
  return true
end

local function forget(change)
  if redis.call('HGET', desk .. 'row:' .. change.ref, 'hash') == change.hash then
    remove_conversation(change.ref)
    forget_reminder(KEYS[2], change.ref)
    changed = true
  end
  return true
end

for i = 2, #ARGV do
  local change = cjson.decode(ARGV[i])
  if not (change.gone and forget or update)(change) then
    stale[#stale + 1] = change.hash
  elseif change.mark then
    done[#done + 1], scores[#scores + 1] = change.member, change.mark
  end
end
-- A mark goes unless its session has changed once more.
if done[1] then
  local current, removed = redis.call('ZMSCORE', marks, unpack(done)), {}
  for i = 1, #done do
    if tonumber(current[i] or -1) == scores[i] then removed[#removed + 1] = done[i] end
  end
  if removed[1] then redis.call('ZREM', marks, unpack(removed)) end
end
for set in pairs(touched) do redis.call('PEXPIRE', desk .. set, kept_ms) end
if changed then notify_desks(kept_ms) end
return stale
