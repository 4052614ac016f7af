--! clock session write turn
-- ARGV: who, ttl, max age, turn id ('' any), outcome (end, stopped, error), code, detail, metadata JSON,
--       citations JSON, byte offset, last text, only when dead ('1'), how long that is doubted in ms
-- KEYS after the first, where the turn has said its last: engine calls running, in all and for its address, of which it
-- is none any more.
for i = 2, #KEYS do redis.call('ZREM', KEYS[i], ARGV[4]) end
local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question')
local id = running[1]
if not id or (ARGV[4] ~= '' and ARGV[4] ~= id) then again() return {'closed'} end
if ARGV[12] == '1' then
  if not over(running[2]) then return {'alive'} end
  -- By a clock that jumped every lease is over: a living worker has this long to renew its own.
  local lease, since = string.match(redis.call('HGET', turn, 'doubt') or '', '^(%d+):(%d+)$')
  if lease ~= running[2] or tonumber(since) > clock then
    since = clock
    redis.call('HSET', turn, 'doubt', running[2] .. ':' .. string.format('%.0f', clock))
  end
  local left = tonumber(since) + tonumber(ARGV[13]) - clock
  if left > 0 then return {'doubt', left} end
end
if ARGV[11] ~= '' then grow(id, tonumber(ARGV[10]), ARGV[11]) end
local kind, data = close_turn(running, {outcome = ARGV[5], code = ARGV[6], detail = ARGV[7], metadata = ARGV[8], citations = ARGV[9]})
save(ARGV[12] ~= '1', tonumber(ARGV[2]), tonumber(ARGV[3]))
ring()
return {'ok', kind, data}
