-- @include clock
-- @include operators
-- An operator's record, '' where there is none; they are present now. ARGV: id, 1 where a server calls for them.
local record = redis.call('HGET', operators, ARGV[1])
if record then redis.call('ZADD', present, ARGV[2] == '1' and BY_SERVER or clock, ARGV[1]) end
return record or ''
