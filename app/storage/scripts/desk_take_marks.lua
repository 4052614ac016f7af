-- @include clock
-- Sessions that have changed and whose change is not applied yet, those first that wait for longest. One worker at a time has
-- them. KEYS: the marks, the lease; ARGV: this worker, ms of the lease, max, ms to keep the marks. Returns the time, then members
-- and scores by turns; nothing where another worker has the lease.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {} end
local marks = redis.call('ZRANGE', KEYS[1], 0, ARGV[3] - 1, 'WITHSCORES')
if marks[1] then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
table.insert(marks, 1, clock)
return marks
