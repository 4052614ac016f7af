-- @include event_queue
-- Puts dead letters back at the end of the queue, oldest first. ARGV: ids of events; without any, the oldest 1,000.
-- Those that are no events stay where they are. Returns how many there were.
local wanted, count = {}, 0
for _, id in ipairs(ARGV) do wanted[id] = true end
for _, letter in ipairs(redis.call('XRANGE', KEYS[1] .. ':dead', '-', '+', 'COUNT', #ARGV > 0 and MAX_DEAD * 2 or 1000)) do
  local event = {}
  for i = 1, #letter[2], 2 do event[letter[2][i]] = letter[2][i + 1] end
  if event.ref ~= '' and (#ARGV == 0 or wanted[event.id]) then
    add_event(KEYS[1], event.id, event.ref, event.type, event.body)
    redis.call('XDEL', KEYS[1] .. ':dead', letter[1])
    count = count + 1
  end
end
return {count}
