-- @include clock
-- @include operators
-- @no-writes
-- As use_login, while Redis takes no writes: it marks nobody as present.
local operator, record = living_login(ARGV[1], tonumber(ARGV[2]))
return {operator or '', record or ''}
