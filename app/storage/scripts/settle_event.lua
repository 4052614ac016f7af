-- @include clock
-- @include event_queue
-- Says what became of an event that was sent. ARGV: entry, ref, outcome (sent, failed, dead), attempts so far, the problem,
-- ms until the next attempt. The session's next event may be sent once this one was sent or has become a dead letter.
-- Returns 0 where another worker was quicker.
local queue, entry, ref, outcome = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', queue .. ':first', ref) ~= entry then return {0} end
if outcome == 'failed' then
  redis.call('HSET', queue .. ':tries', entry, ARGV[4] .. ' ' .. ARGV[5])
  redis.call('ZADD', queue .. ':due', clock + ARGV[6], entry .. ' ' .. ref)
  keep_queue(queue, {':tries', ':due'})
  return {1}
end
if outcome == 'dead' then
  local found = redis.call('XRANGE', queue, entry, entry)[1]
  if found then
    local event = {}
    for i = 1, #found[2], 2 do event[found[2][i]] = found[2][i + 1] end
    bury(queue, entry, event, ARGV[4], ARGV[5])
  end
end
remove_event(queue, entry, ref, clock)
return {1}
