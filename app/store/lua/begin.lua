--! clock session write
-- ARGV: who, ttl, max age, client id, rest of the question's JSON, most messages, limit, window ms, admitted,
--       turn id, lease ms
local cid = ARGV[4]
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'start')
local dead = running[1] and tonumber(running[2]) < now
local state = cid ~= '' and redis.call('HGET', cids, 'q:' .. cid)
local question, outcome, past
if state then
  question, outcome, past = string.match(state, '^(%d+):(%w+):(.*)$')
  if outcome == 'run' and not dead then again() return {'joined', running[1], running[4]} end
  if outcome ~= 'run' and outcome ~= 'failed' then again() return {'done', entry(outcome), past} end
end
if ended then return {'ended'} end
if dead then return {'dead', running[1]} end
if running[1] then return {'busy'} end
if count + (state and 1 or 2) > tonumber(ARGV[6]) then return {'full'} end
if ARGV[9] == '0' then return {'refused'} end
local limit, window = tonumber(ARGV[7]), tonumber(ARGV[8])
local wait = limited(limit, window)
if wait then return {'limited', wait} end

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
redis.call('HSET', turn, 'id', ARGV[10], 'lease', now + ARGV[11], 'cid', cid, 'start', start, 'question', question)
emit('answer.start', '{"turn_id":"' .. ARGV[10] .. '"}')
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
ring()
return {'begun', ARGV[10], start, json, limit - spent, window_start + window - now}
