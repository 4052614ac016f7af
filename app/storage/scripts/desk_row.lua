-- @include clock
-- @no-writes
-- One row. KEYS: the row, the queue; ARGV: its ref. Returns the time, its JSON ('' gone), the hash of its session and its place in
-- the queue (0: it does not wait).
local row = redis.call('HMGET', KEYS[1], 'json', 'hash')
local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
return {clock, row[1] or '', row[2] or '', rank and rank + 1 or 0}
