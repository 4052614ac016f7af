-- Included by every verb on a session. KEYS[1] is its meta key; the others share its hash tag, so its slot.
-- ARGV[1] is who asks: '' nobody known, '*' the service's owner, else the signed-in user.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local tag = string.sub(base, 8, 13)
local history, live, turn, said = base .. 'history', base .. 'live', base .. 'turn', base .. 'said'
local cids, tickets, ratings = base .. 'cids', base .. 'tickets', base .. 'ratings'

local m = redis.call('HMGET', meta, 'created', 'expires', 'ended', 'owner', 'count', 'seq', 'seen', 'updated', 'window', 'spent')
if not m[1] then return {'gone'} end
if m[4] and m[4] ~= ARGV[1] and ARGV[1] ~= '*' then return {'not_owner'} end
local created, expires, ended = tonumber(m[1]), tonumber(m[2]), m[3]
local count, seq, seen, updated = tonumber(m[5]), tonumber(m[6]), tonumber(m[7]), tonumber(m[8])
local window_start, spent = tonumber(m[9] or 0), tonumber(m[10] or 0)

-- RFC 3339 in UTC; days to civil date after Howard Hinnant, "chrono-compatible low-level date algorithms".
local function stamp(ms)
  local seconds = math.floor(ms / 1000)
  local days = math.floor(seconds / 86400)
  local rest = seconds - days * 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day,
    math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60, ms % 1000)
end

-- The stored message with this number, as it goes over the wire.
local function entry(number)
  local found = redis.call('XRANGE', history, number .. '-0', number .. '-0')
  return found[1] and found[1][2][2]
end
