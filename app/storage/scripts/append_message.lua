--! clock rate_limit session write
-- ARGV: who, ttl, max age, client id, rest of the message's JSON, most messages, limit, window ms, admitted,
--       the address' limit, its window ms
local cid = ARGV[4]
local known = cid ~= '' and redis.call('HGET', cids, 'm:' .. cid)
if known then repay() again() return {'replay', entry(known)} end
if ended then return {'ended'} end
-- A running answer has a place of its own kept free.
if count + redis.call('EXISTS', turn) >= tonumber(ARGV[6]) then return {'full'} end
if ARGV[9] == '0' or not admitted then return {'refused', toll_reset, toll_most} end
local limit, window = tonumber(ARGV[7]), tonumber(ARGV[8])
local wait = limited(limit, window)
if wait then return {'limited', wait, limit} end
local json = store(ARGV[5])
emit('message', json)
if cid ~= '' then redis.call('HSET', cids, 'm:' .. cid, seq) end
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
ring()
return {'ok', json, limit - spent, window_start + window - clock}
