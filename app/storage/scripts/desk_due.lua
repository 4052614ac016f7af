-- @include clock
-- @include desk_index
-- What the sweeper has to look at now. KEYS[1]: its lease, which one worker has. ARGV: this worker, ms of the lease, ms to keep
-- the index, max of each kind, ms after which a visitor counts as gone, ms that a conversation may wait, ms between two looks.
-- Sweeps conversations whose session has expired. Returns nothing where another worker has the lease, else three lists of refs and
-- hashes: not seen for long; waiting for too long; that a person has and whose visitor was not seen for a moment. Their scores are
-- looked at again a little later, so that a worker that dies now takes nothing with it.
local max, max_expired, later = ARGV[4], 500, 10000
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])

local function due(set, age, limit)
  return redis.call('ZRANGEBYSCORE', desk .. set, '-inf', string.format('%.0f', clock - age), 'LIMIT', 0, limit or max)
end

local function with_hashes(refs)
  local found = {}
  for i = 1, #refs do
    found[2 * i - 1], found[2 * i] = refs[i], redis.call('HGET', desk .. 'row:' .. refs[i], 'hash') or ''
  end
  return found
end

local expired = due('rows', 0, max_expired)
for i = 1, #expired do remove_conversation(expired[i]) end
if #expired > 0 then notify_desks(ARGV[3]) end

local idle, waiting, held = due('seen', ARGV[5]), due('view:queue', ARGV[6]), due('held', ARGV[7])
for i = 1, #idle do redis.call('ZADD', desk .. 'seen', clock - ARGV[5] + later, idle[i]) end
for i = 1, #held do redis.call('ZADD', desk .. 'held', clock, held[i]) end
return {with_hashes(idle), with_hashes(waiting), with_hashes(held)}
