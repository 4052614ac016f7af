-- Included by every verb that needs the time: Redis' own clock in ms, which may jump forward or back.
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local now = clock  -- a session's own time, which never runs back: see _write.lua
local MAX_LEASE_MS = 15000

-- Ms until a window of counted calls ends. One that began before the clock was set back would last too long.
local function window_remaining(key, window)
  local remaining = redis.call('PTTL', key)
  if remaining > window then
    redis.call('PEXPIRE', key, window)
    remaining = window
  end
  return math.max(remaining, 1)
end

-- Removes the slots that have expired, and those from before the clock was set back: a living holder renews its own.
local function drop_expired_slots(key, longest)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', clock)
  redis.call('ZREMRANGEBYSCORE', key, '(' .. string.format('%.0f', clock + longest), '+inf')
end

-- Whether the lease of a running answer has expired. One that ends later than any lease can is from before the clock
-- was set back.
local function lease_expired(lease) return tonumber(lease) < clock or tonumber(lease) > clock + MAX_LEASE_MS end
