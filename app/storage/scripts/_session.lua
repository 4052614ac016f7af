-- Included by every verb on a session. KEYS[1]: its meta key; its other keys share the hash tag and so the slot.
-- ARGV[1]: the actor: '' anonymous, '*' the service itself, else a signed-in user.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local session_tag = string.sub(base, 8, 13)
local messages, events, turn, answer_text = base .. 'history', base .. 'live', base .. 'turn', base .. 'said'
local client_ids, tickets, ratings = base .. 'cids', base .. 'tickets', base .. 'ratings'
local typing = base .. 'typing'

local fields = {'created', 'expires', 'ended', 'owner', 'count', 'seq', 'seen', 'updated', 'window', 'spent', 'names',
  'handler', 'op', 'op_name', 'waiting', 'asked', 'ref', 'outbox'}  -- from the handler on: see _track.lua
local session = redis.call('HMGET', meta, unpack(fields, 1, tracking and 18 or 11))
if not session[1] then return {'not_found'} end
if session[4] and session[4] ~= ARGV[1] and ARGV[1] ~= '*' then return {'not_owner'} end
local created, expires, ended = tonumber(session[1]), tonumber(session[2]), session[3]
local count, seq, last_seen, updated = tonumber(session[5]), tonumber(session[6]), tonumber(session[7]), tonumber(session[8])
local limit_window, limit_used = tonumber(session[9] or 0), tonumber(session[10] or 0)
local asked, ref, outbox_number = tonumber(session[16] or 0), session[17], tonumber(session[18] or 0)
local stored_asked, stored_outbox = asked, outbox_number

-- A time as in RFC 3339, in UTC; the date after Howard Hinnant, "chrono-compatible low-level date algorithms".
local function iso8601(ms)
  local seconds = math.floor(ms / 1000)
  local days = math.floor(seconds / 86400)
  local seconds_of_day = seconds - days * 86400
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
    math.floor(seconds_of_day / 3600), math.floor(seconds_of_day % 3600 / 60), seconds_of_day % 60, ms % 1000)
end

-- The JSON of the stored message with this number.
local function get_message(number)
  local entries = redis.call('XRANGE', messages, number .. '-0', number .. '-0')
  return entries[1] and entries[1][2][2]
end
