-- @include clock
-- @include session
-- @no-writes
-- The operators' notes, oldest first, each with its time. ARGV: '*'.
local found = redis.call('XRANGE', base .. 'notes', '-', '+')
for i = 1, #found do found[i] = found[i][2][2] end
return {'ok', found}
