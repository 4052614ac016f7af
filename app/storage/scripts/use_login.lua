-- @include clock
-- @include operators
-- The operator of a login and their record, '' and '' where it has ended. ARGV: hash of the login, how long it may idle.
-- A login that is used stays, and its operator is present.
local login, idle = redis.call('HGET', logins, ARGV[1]), tonumber(ARGV[2])
if not login then return {'', ''} end
local operator, used, till = string.match(login, '^(%S+) (%d+) (%d+)$')
local record = redis.call('HGET', operators, operator)
if not record or clock >= tonumber(till) or clock >= tonumber(used) + idle then
  redis.call('HDEL', logins, ARGV[1])
  return {'', ''}
end
redis.call('HSET', logins, ARGV[1], string.format('%s %.0f %s', operator, clock, till))
redis.call('ZADD', present, clock, operator)
return {operator, record}
