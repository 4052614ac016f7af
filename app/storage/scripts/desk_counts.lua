-- @no-writes
-- How many conversations each view has. KEYS[1]: the queue; ARGV: operators. Returns queue, open, bot and ended, then how many
-- each of the operators has.
local desk, counts = 'baton:desk:{desk}:view:', {}
for i, view in ipairs({'queue', 'open', 'bot', 'ended'}) do counts[i] = redis.call('ZCARD', desk .. view) end
for i = 1, #ARGV do counts[4 + i] = redis.call('ZCARD', desk .. 'mine:' .. ARGV[i]) end
return counts
