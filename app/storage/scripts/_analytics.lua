-- Adds to the counts of a day. `counted`: what `analytics.counted` makes of a domain event.
local function count_event(counted)
  for field, by in pairs(counted.fields) do redis.call('HINCRBY', counted.key, field, by) end
  redis.call('PEXPIREAT', counted.key, string.format('%.0f', counted['until']))
end
