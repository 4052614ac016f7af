-- @include event_queue
-- Puts events at the end of the queue. KEYS[1]: the queue; ARGV: six fields an event (see _event_queue.lua).
for at = 1, #ARGV, 6 do queue_event(KEYS[1], {unpack(ARGV, at, at + 5)}) end
return {'ok'}
