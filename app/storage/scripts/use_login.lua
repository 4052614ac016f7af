-- @include clock
-- @include operators
-- The operator of a login and their record, '' and '' where it has ended. ARGV: hash of the login, how long it may idle.
-- A login that is used stays, and its operator is present.
local operator, record, till = living_login(ARGV[1], tonumber(ARGV[2]))
if not operator then
  redis.call('HDEL', logins, ARGV[1])
  return {'', ''}
end
redis.call('HSET', logins, ARGV[1], string.format('%s %.0f %s', operator, clock, till))
redis.call('ZADD', present, clock, operator)
return {operator, record}
