-- @include clock
-- @include operators
-- Begins a login with an invitation, which is spent by it. KEYS[6]: the failed logins of the caller's address.
-- ARGV: hash of the invitation, of the login, of the login that it replaces, lifetime, most failures, their window.
-- Returns ok, operator, record; or limited, ms to wait; or unknown.
local failures, most, window = KEYS[6], tonumber(ARGV[5]), tonumber(ARGV[6])
if tonumber(redis.call('GET', failures) or 0) >= most then return {'limited', window_remaining(failures, window), ''} end
local invitation = redis.call('HGET', invitations, ARGV[1])
local operator = invitation and string.match(invitation, '^%S+')
local record = operator and redis.call('HGET', operators, operator)
redis.call('HDEL', invitations, ARGV[1])
if not record or has_ended(invitation) then
  if redis.call('INCR', failures) == 1 then redis.call('PEXPIRE', failures, window) end
  return {'unknown', '', ''}
end
add_login(operator, ARGV[2], ARGV[3], tonumber(ARGV[4]))
return {'ok', operator, record}
