-- @include clock
-- @include session
-- @include write
-- @include track
-- An operator has read the conversation. ARGV: '*', operator's id.
redis.call('HSET', reads, ARGV[2], asked)
redis.call('PEXPIREAT', reads, expires)
mark_changed()
return {'ok'}
