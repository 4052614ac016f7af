-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Gives the conversation to the bot, to the queue or to another operator.
-- ARGV: '*', ttl, max age, to (bot, queue, human), that operator's id, their name, reason, position in the queue,
--       by (operator's id; '*' who may release for others; '' the service itself), condition and its value:
--       waiting (in the queue for so many ms), holder (this operator has it), left (an operator has it, and the visitor has
--       been away for so many ms: no heartbeat and no open feed). Returns ok and whether it changed, or kept.
local to, by, value = ARGV[4], ARGV[9], ARGV[11]
if ended then return {'ended'} end

local function visitor_is_away(ms)
  if redis.call('ZCOUNT', base .. 'feeds', '(' .. string.format('%.0f', clock), '+inf') > 0 then
    redis.call('HSET', meta, 'present', now)
    return false
  end
  return now - math.max(last_seen, tonumber(redis.call('HGET', meta, 'present') or 0)) >= tonumber(ms)
end

local conditions = {
  [''] = function() return true end,
  waiting = function() return handler == 'queue' and now - waiting >= tonumber(value) end,
  holder = function() return handler == 'human' and operator == value end,
  left = function() return handler == 'human' and visitor_is_away(value) end,
}
if not conditions[ARGV[10]]() then return {'kept'} end
if by ~= '' and by ~= '*' and handler == 'human' and operator ~= by then return {'already_taken', operator_name} end
if handler == (to == 'bot' and '' or to) and (to ~= 'human' or operator == ARGV[5]) then
  refresh_ttl_for_wait()
  return {'ok', 0}
end
release(to, ARGV[5], ARGV[6], ARGV[7], ARGV[8])
save(by ~= '' and 'operator', tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return {'ok', 1}
