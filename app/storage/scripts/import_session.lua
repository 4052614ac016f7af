-- Migrates an anonymous session to a user, second step: writes its data under the new id, unless it is there already.
-- ARGV: when it expires, how many of each follow, and they: fields and values of its meta, numbers and JSON of its
-- messages, fields and values of its client ids and of its ratings.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local offset = 5
if redis.call('EXISTS', meta) == 0 then
  for part, name in ipairs({'meta', 'history', 'cids', 'ratings'}) do
    local key = base .. name
    for i = offset + 1, offset + ARGV[1 + part], 2 do
      if name == 'history' then
        redis.call('XADD', key, ARGV[i], 'j', ARGV[i + 1])
      else
        redis.call('HSET', key, ARGV[i], ARGV[i + 1])
      end
    end
    offset = offset + ARGV[1 + part]
    redis.call('PEXPIREAT', key, ARGV[1])
  end
else
  redis.call('PEXPIREAT', meta, redis.call('HGET', meta, 'expires'))  -- so that WAIT covers what the first call wrote
end
return {'ok'}
