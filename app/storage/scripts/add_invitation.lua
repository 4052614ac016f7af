-- @include clock
-- @include operators
-- Invites an operator; an earlier invitation of theirs is void. ARGV: id, hash of the token, lifetime.
local operator, token, lifetime = ARGV[1], ARGV[2], tonumber(ARGV[3])
drop_entries(invitations, has_ended)
drop_entries(invitations, is_of(operator))
redis.call('HSET', invitations, token, string.format('%s %.0f', operator, clock + lifetime))
expire_after(invitations, lifetime)
return 1
