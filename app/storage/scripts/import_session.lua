--! clock
-- A session as it stood elsewhere, at its new place; nothing where it stands there already.
-- ARGV: when it expires, how many words of each follow, and they: fields and values of its meta, numbers and JSON of its
-- messages, fields and values of its client ids and of its ratings.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local at = 5
if redis.call('EXISTS', meta) == 0 then
  for place, name in ipairs({'meta', 'history', 'cids', 'ratings'}) do
    local key = base .. name
    for i = at + 1, at + ARGV[1 + place], 2 do
      if name == 'history' then
        redis.call('XADD', key, ARGV[i], 'j', ARGV[i + 1])
      else
        redis.call('HSET', key, ARGV[i], ARGV[i + 1])
      end
    end
    at = at + ARGV[1 + place]
    redis.call('PEXPIREAT', key, ARGV[1])
  end
else
  redis.call('PEXPIREAT', meta, redis.call('HGET', meta, 'expires'))  -- so that WAIT waits for the first try
end
return {'ok'}
