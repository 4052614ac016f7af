-- @no-writes
-- The counts of some days. KEYS: one a day. Returns the time in ms, then each day's fields and numbers.
local time = redis.call('TIME')
local days = {time[1] * 1000 + math.floor(time[2] / 1000)}
for i = 1, #KEYS do days[i + 1] = redis.call('HGETALL', KEYS[i]) end
return days
