-- @include clock
-- @include operators
-- Ends a login. ARGV: its hash. Returns its operator ('' where there is none), who is gone unless logged in elsewhere.
local login = redis.call('HGET', logins, ARGV[1])
if not login then return '' end
redis.call('HDEL', logins, ARGV[1])
local operator = string.match(login, '^%S+')
local is_theirs = is_of(operator)
for _, other in ipairs(redis.call('HVALS', logins)) do
  if is_theirs(other) then return operator end
end
redis.call('ZREM', present, operator)
return operator
