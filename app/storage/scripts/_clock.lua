-- Included by every verb: the time, in ms, by Redis' own clock, which an operator or a leap may set forward or back.
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local now = clock  -- a session's own time, which never runs back: see write.lua

-- Ms until the window that a key counts is over. One made before the clock was set back would last too long.
local function window_left(key, window)
  local left = redis.call('PTTL', key)
  if left > window then
    redis.call('PEXPIRE', key, window)
    left = window
  end
  return math.max(left, 1)
end

-- Takes out of a sorted set the claims that are over, and those from before the clock was set back: who lives renews.
local function clear(key, longest)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', clock)
  redis.call('ZREMRANGEBYSCORE', key, '(' .. string.format('%.0f', clock + longest), '+inf')
end

-- Whether the lease of a running answer is over: its time has come, or it ends later than any lease can, because it is
-- from before the clock was set back.
local function over(lease) return tonumber(lease) < clock or tonumber(lease) > clock + 15000 end
