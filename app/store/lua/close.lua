--! clock session write turn
-- ARGV: who, ttl, max age, turn id ('' any), outcome (end, stopped, error), code, detail, metadata JSON,
--       citations JSON, byte offset, last text, only when dead ('1')
-- KEYS[2], where the turn has said its last: engine calls running, of which it is none any more.
if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[4]) end
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question')
local id = running[1]
if not id or (ARGV[4] ~= '' and ARGV[4] ~= id) then again() return {'closed'} end
if ARGV[12] == '1' and tonumber(running[2]) >= now then return {'alive'} end
if ARGV[11] ~= '' then grow(id, tonumber(ARGV[10]), ARGV[11], '') end

local text = redis.call('GET', said) or ''
local failed = ARGV[5] == 'error'
local json
if text ~= '' or not failed then
  json = store('"role":"assistant","content":' .. cjson.encode(text) .. ',"metadata":' .. ARGV[8] .. '}')
end
if failed then
  local data = '{"turn_id":"' .. id .. '","code":' .. cjson.encode(ARGV[6]) .. ',"detail":' .. cjson.encode(ARGV[7])
  if json then data = data .. ',"message":' .. json end
  emit('answer.error', data .. '}')
else
  emit('answer.end', '{"turn_id":"' .. id .. '","message":' .. json .. ',"citations":' .. ARGV[9] .. '}')
end
if running[3] ~= '' then
  redis.call('HSET', cids, 'q:' .. running[3], running[4] .. ':' .. (failed and 'failed' or seq) .. ':' .. id)
end
redis.call('DEL', turn, said)
save(ARGV[12] ~= '1', tonumber(ARGV[2]), tonumber(ARGV[3]))
ring()
return {'ok', id}
