-- Included by the verbs of operators. KEYS: operators, available, present, logins, invitations.
-- A login is "<operator> <last used> <end>", an invitation "<operator> <end>"; times in ms.
local operators, available, present, logins, invitations = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local BY_SERVER = 9007199254740991  -- present until they use a login themselves

-- Deletes the entries of a hash for which test is true.
local function drop_entries(key, test)
  local entries = redis.call('HGETALL', key)
  for i = 1, #entries, 2 do
    if test(entries[i + 1]) then redis.call('HDEL', key, entries[i]) end
  end
end

local function is_of(operator)
  return function(entry) return string.match(entry, '^%S+') == operator end
end

local function has_ended(entry) return tonumber(string.match(entry, '%d+$')) <= clock end

local function expire_after(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

local function add_login(operator, login, old_login, lifetime)
  redis.call('HDEL', logins, old_login)
  drop_entries(logins, has_ended)
  redis.call('HSET', logins, login, string.format('%s %.0f %.0f', operator, clock, clock + lifetime))
  expire_after(logins, lifetime)
  redis.call('ZADD', present, clock, operator)
end

-- The operator of a login, their record, and when it ends; nil where it has ended.
local function living_login(login, idle)
  local operator, used, expires_at = string.match(redis.call('HGET', logins, login) or '', '^(%S+) (%d+) (%d+)$')
  local record = operator and redis.call('HGET', operators, operator)
  if record and clock < tonumber(expires_at) and clock < tonumber(used) + idle then return operator, record, expires_at end
end
