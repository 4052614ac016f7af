-- Migrates an anonymous session to a user, second step: writes its data under the new id, unless it is there already.
-- ARGV: when it expires, how many of each follow, and they: fields and values of its meta, numbers and JSON of its
-- messages, fields and values of its client ids and of its ratings, its notes, who has read it, its outbox.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local parts = {'meta', 'history', 'cids', 'ratings', 'notes', 'reads', 'outbox'}
local is_stream = {history = true, notes = true, outbox = true}
local offset = 1 + #parts
if redis.call('EXISTS', meta) == 0 then
  for part, name in ipairs(parts) do
    local key = base .. name
    for i = offset + 1, offset + ARGV[1 + part], 2 do
      if is_stream[name] then
        redis.call('XADD', key, ARGV[i], 'j', ARGV[i + 1])
      else
        redis.call('HSET', key, ARGV[i], ARGV[i + 1])
      end
    end
    offset = offset + ARGV[1 + part]
    redis.call('PEXPIREAT', key, ARGV[1])
  end
  if tracking then
    redis.call('HSETNX', meta, 'ref', 'cnv_' .. string.sub(base, 8, 31))
    local time = redis.call('TIME')
    redis.pcall('ZADD', 'baton:changes:{desk}', time[1] * 1000 + math.floor(time[2] / 1000), string.sub(base, 8, 39))
  end
else
  redis.call('PEXPIREAT', meta, redis.call('HGET', meta, 'expires'))  -- so that WAIT covers what the first call wrote
end
return {'ok'}
