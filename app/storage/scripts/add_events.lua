-- @include event_queue
-- Puts events at the end of the queue. KEYS[1]: the queue; ARGV: six fields an event (see _event_queue.lua).
for i = 1, #ARGV, 6 do queue_event(KEYS[1], {unpack(ARGV, i, i + 5)}) end
return {'ok'}
