-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Asks for a person. Where nobody is there the bot stays, and what was left is kept for the operators.
-- ARGV: actor, ttl, max age, idle ms, contact JSON ('' none), reason ('' none), position in the queue ('' nobody is there), by.
-- Returns the handler, and whether it changed.
if ended then return {'ended'} end
local is_new = handler == ''
redis.call('HSETNX', meta, 'requested', now)  -- listed at the desk from now on, also without a message
if ARGV[5] ~= '' then redis.call('HSET', meta, 'contact', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', meta, 'reason', ARGV[6]) end
if is_new then
  if ARGV[7] ~= '' then
    enqueue('requested', ARGV[7], ARGV[8])
  elseif ARGV[5] ~= '' or ARGV[6] ~= '' then
    record('human.requested', ',"by":"' .. ARGV[8] .. '","available":false')
  end
end
mark_seen(ARGV[2], ARGV[3], ARGV[4])
mark_changed()
notify()
local answers = handler == '' and 'bot' or handler
return {'ok', answers, is_new and handler ~= '' and 1 or 0}
