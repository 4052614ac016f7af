-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Notifies a visitor who waits of their new position in the queue. ARGV: '*', position.
if ended or handler ~= 'queue' or redis.call('HGET', meta, 'position') == ARGV[2] then return {'kept'} end
redis.call('HSET', meta, 'position', ARGV[2])
append_handler_event('position', ARGV[2])
save(false)
notify()
return {'ok'}
