--! clock rate_limit session write
-- ARGV: who, ttl, max age, client id, rest of the question's JSON, most messages, limit, window ms, admitted,
--       turn id, lease ms, most earlier messages, most engine calls at once (0: not asked), most a minute, claim ms,
--       most engine calls at once for one address, the address' limit, its window ms
-- KEYS: meta, engine calls running, engine calls this minute, engine calls running for the address (see budget.lua)
local cid = ARGV[4]
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'start', 'question')
local dead = running[1] and over(running[2])
local state = cid ~= '' and redis.call('HGET', cids, 'q:' .. cid)
local question, outcome, past

-- What the engine may know: the newest first, the question among them.
local function begun(start, json, reset)
  local earlier = redis.call('XREVRANGE', history, '+', '-', 'COUNT', ARGV[12])
  for i = 1, #earlier do earlier[i] = earlier[i][2][2] end
  return {'begun', ARGV[10], start, json, tonumber(ARGV[7]) - spent, reset, earlier, redis.call('HGET', meta, 'metadata') or ''}
end

if running[1] == ARGV[10] then  -- its first reply was lost
  repay()
  again()
  return begun(tonumber(running[4]), entry(running[5]), window_start + tonumber(ARGV[8]) - clock)
end
if state then
  question, outcome, past = string.match(state, '^(%d+):(%w+):(.*)$')
  if outcome == 'run' and not dead then repay() again() return {'joined', running[1], running[4]} end
  if outcome ~= 'run' and outcome ~= 'failed' then repay() again() return {'done', entry(outcome), past} end
end
if ended then return {'ended'} end
if dead then repay() return {'dead', running[1]} end
if running[1] then return {'busy'} end
if count + (state and 1 or 2) > tonumber(ARGV[6]) then return {'full'} end
if ARGV[9] == '0' or not admitted then return {'refused', toll_reset, toll_most} end
local at_once, calls = tonumber(ARGV[13]), 0
if at_once > 0 then
  clear(KEYS[2], ARGV[15])
  clear(KEYS[4], ARGV[15])
  if redis.call('ZCARD', KEYS[2]) >= at_once then return {'crowded', 1000} end
  if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[16]) then return {'crowded', 1000} end
  calls = tonumber(redis.call('GET', KEYS[3]) or 0)
  local rest = calls > 0 and window_left(KEYS[3], 60000)
  if calls >= tonumber(ARGV[14]) then return {'crowded', rest or 60000} end
end
local limit, window = tonumber(ARGV[7]), tonumber(ARGV[8])
local wait = limited(limit, window)
if wait then return {'limited', wait, limit} end
if at_once > 0 then
  redis.call('INCR', KEYS[3])
  if calls == 0 then redis.call('PEXPIRE', KEYS[3], 60000) end
  for _, running in ipairs({KEYS[2], KEYS[4]}) do
    redis.call('ZADD', running, clock + ARGV[15], ARGV[10])
    redis.call('PEXPIRE', running, ARGV[15] * 2)
  end
end

local json
if state then
  json = entry(question)
else
  json = store(ARGV[5])
  emit('message', json)
  question = seq
end
if cid ~= '' then redis.call('HSET', cids, 'q:' .. cid, question .. ':run:' .. ARGV[10]) end
local start = seq
redis.call('DEL', said)
redis.call('HSET', turn, 'id', ARGV[10], 'lease', clock + ARGV[11], 'cid', cid, 'start', start, 'question', question)
emit('answer.start', '{"turn_id":"' .. ARGV[10] .. '"}')
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
ring()
return begun(start, json, window_start + window - clock)
