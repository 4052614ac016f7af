-- @include clock
-- @include session
-- Somebody types, which is told once in 3 s at most. ARGV: actor, who (operator or visitor), their name.
-- Returns whether it is told now.
if ended then return {'ended'} end
local told_at = tonumber(string.match(redis.call('HGET', typing, ARGV[2]) or '', '^%d+') or 0)
if clock - told_at < 3000 and told_at <= clock then return {'ok', 0} end
redis.call('HSET', typing, ARGV[2], string.format('%.0f', clock) .. ':' .. ARGV[3])
redis.call('PEXPIREAT', typing, math.min(expires, clock + 5000))
redis.call('PUBLISH', base .. 'bell', '')
return {'ok', 1}
