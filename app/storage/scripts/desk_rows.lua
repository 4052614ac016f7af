-- @no-writes
-- Some of the rows, for their repair. KEYS[1]: the set of all refs; ARGV: where to go on, how many about.
-- Returns where to go on then ('0' at the end), and ref, hash and check of each.
local reply = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = {}
for i = 1, #reply[2], 2 do
  local row = redis.call('HMGET', 'baton:desk:{desk}:row:' .. reply[2][i], 'hash', 'check')
  found[#found + 1] = {reply[2][i], row[1] or '', row[2] or ''}
end
return {reply[1], found}
