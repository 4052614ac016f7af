-- @include clock
-- @include session
-- Somebody types, which readers get once in 3 s at most. ARGV: actor, who (operator or visitor), their name.
-- Returns whether it is sent now.
if ended then return {'ended'} end
local sent_at = tonumber(string.match(redis.call('HGET', typing, ARGV[2]) or '', '^%d+') or 0)
if clock - sent_at < 3000 and sent_at <= clock then return {'ok', 0} end
redis.call('HSET', typing, ARGV[2], string.format('%.0f', clock) .. ':' .. ARGV[3])
redis.call('PEXPIREAT', typing, math.min(expires, clock + 5000))
redis.call('PUBLISH', base .. 'bell', '')
return {'ok', 1}
