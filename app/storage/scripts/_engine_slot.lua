-- Included by the verbs that start an engine call. `keys`: the calls that run (sorted by when their slot expires), the
-- calls of this minute, the calls that run for one address. `max`: at once, per minute, at once for one address.

-- Ms to wait for a slot; nil where one is free.
local function engine_slot_wait(keys, max, slot_ms)
  drop_expired_slots(keys[1], slot_ms)
  drop_expired_slots(keys[3], slot_ms)
  if redis.call('ZCARD', keys[1]) >= tonumber(max[1]) then return 1000 end
  if redis.call('ZCARD', keys[3]) >= tonumber(max[3]) then return 1000 end
  local calls = tonumber(redis.call('GET', keys[2]) or 0)
  if calls < tonumber(max[2]) then return nil end
  return calls > 0 and window_remaining(keys[2], 60000) or 60000
end

local function take_engine_slot(keys, member, slot_ms)
  if redis.call('INCR', keys[2]) == 1 then redis.call('PEXPIRE', keys[2], 60000) end
  window_remaining(keys[2], 60000)
  for _, running in ipairs({keys[1], keys[3]}) do
    redis.call('ZADD', running, clock + slot_ms, member)
    redis.call('PEXPIRE', running, slot_ms * 2)
  end
end
