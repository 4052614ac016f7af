-- @include clock
-- @include operators
-- Removes an operator with every login and invitation. ARGV: id. Returns 0 where there is none.
local operator = ARGV[1]
redis.call('SREM', available, operator)
redis.call('ZREM', present, operator)
drop_entries(logins, is_of(operator))
drop_entries(invitations, is_of(operator))
return redis.call('HDEL', operators, operator)
