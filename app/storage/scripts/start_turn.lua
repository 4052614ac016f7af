-- @include clock
-- @include session
-- @include write
-- @include track
-- @include engine_slot
-- Stores a question and starts the turn that answers it; a client id that is known gets the running turn or the answer.
-- While a person has the conversation, or the visitor waits for one, the question is stored and no turn starts.
-- A question with a client id that is known counts against no limit of the session, also where its turn has failed and runs again.
-- ARGV: actor, ttl, max age, client id, rest of the question's JSON, max messages, rate limit, its window ms,
--       turn id, lease ms, max messages of history, '0' where the engine is known to be busy,
--       engine calls: max at once (0: no slot is taken), max per minute, slot ms, max at once for one address,
--       the hash of that address, '1' where a turn that has failed is not run again
-- KEYS after the first: see _engine_slot.lua
local client_id, turn_id = ARGV[4], ARGV[9]
local limit, window = tonumber(ARGV[7]), tonumber(ARGV[8])
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'start', 'question')
local expired = running[1] and lease_expired(running[2])
local previous = client_id ~= '' and redis.call('HGET', client_ids, 'q:' .. client_id)
local question, outcome, previous_turn_id

local function store_question()
  local json = append_message(ARGV[5])
  append_event('message', json)
  question = seq
  count_question()
  return json
end

-- What the engine may know: the newest messages first, the question among them.
local function begun(start, json)
  local history = redis.call('XREVRANGE', messages, '+', '-', 'COUNT', ARGV[11])
  for i = 1, #history do history[i] = history[i][2][2] end
  local metadata = redis.call('HGET', meta, 'metadata') or ''
  return {'started', turn_id, start, json, limit - limit_used, limit_window + window - clock, history, metadata}
end

if running[1] == turn_id then  -- the reply of the first call was lost
  refresh_ttl_for_wait()
  return begun(tonumber(running[4]), get_message(running[5]))
end
if previous then
  question, outcome, previous_turn_id = string.match(previous, '^(%d+):(%w+):(.*)$')
  local replay
  if outcome == 'run' then
    replay = not expired and {'joined', running[1], running[4]}
  elseif outcome == 'held' then
    local held_handler, held_name = string.match(previous_turn_id, '^(%a+):(.*)$')
    replay = {'held', get_message(question), held_handler, held_name, 0, 0}
  elseif outcome == 'cut' then
    replay = {'completed', '', previous_turn_id}
  elseif outcome == 'failed' then
    replay = ARGV[18] == '1' and {'failed', previous_turn_id}
  else
    replay = {'completed', get_message(outcome), previous_turn_id}
  end
  if replay then
    refresh_ttl_for_wait()
    return replay
  end
end
-- The reply to a question for a person was lost, and it has no client id to be known by.
local held = desk and client_id == '' and redis.call('HGET', meta, 'held') or ''
local held_turn, held_number, held_handler = string.match(held, '^(%S+) (%d+) (%a+)$')
if held_turn == turn_id then
  refresh_ttl_for_wait()
  return {'held', get_message(held_number), held_handler, operator_name, 0, 0}
end
if ended then return {'ended'} end
if running[1] then return {expired and 'turn_expired' or 'busy'} end
if handler ~= '' then
  if not previous and count >= tonumber(ARGV[6]) then return {'full'} end
  local wait = not previous and session_rate_limited(limit, window)
  if wait then return {'session_limited', wait, limit} end
  local json = previous and get_message(question) or store_question()
  if client_id ~= '' then
    redis.call('HSET', client_ids, 'q:' .. client_id, question .. ':held:' .. handler .. ':' .. operator_name)
  else
    redis.call('HSET', meta, 'held', turn_id .. ' ' .. question .. ' ' .. handler)
  end
  save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
  mark_changed()
  notify()
  return {'held', json, handler, operator_name, limit - limit_used, limit_window + window - clock}
end
if count + (previous and 1 or 2) > tonumber(ARGV[6]) then return {'full'} end
if ARGV[12] == '0' then return {'engine_busy', 0} end
local slots = tonumber(ARGV[13]) > 0 and {KEYS[2], KEYS[3], KEYS[4]}
local wait = slots and engine_slot_wait(slots, {ARGV[13], ARGV[14], ARGV[16]}, ARGV[15])
if wait then return {'engine_busy', wait} end
wait = not previous and session_rate_limited(limit, window)
if wait then return {'session_limited', wait, limit} end
if slots then take_engine_slot(slots, turn_id, ARGV[15]) end

local json = previous and get_message(question) or store_question()
if client_id ~= '' then redis.call('HSET', client_ids, 'q:' .. client_id, question .. ':run:' .. turn_id) end
local start = seq
redis.call('DEL', answer_text)
redis.call('HSET', turn, 'id', turn_id, 'lease', clock + ARGV[10], 'cid', client_id, 'start', start, 'question', question,
  'begun', now, 'address', ARGV[17])
append_event('answer.start', '{"turn_id":"' .. turn_id .. '"}')
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return begun(start, json)
