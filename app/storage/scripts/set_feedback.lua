-- @include clock
-- @include session
-- @include write
-- @include track
-- Stores the rating of an answer. ARGV: actor, message number, rating JSON ('' removes it). Returns the message.
local json = get_message(ARGV[2])
if not json or string.match(json, '"role":"(%a+)"') ~= 'assistant' then return {'unknown'} end
local was = string.match(redis.call('HGET', ratings, ARGV[2]) or '', '"rating":"(%a+)"')
local rating = string.match(ARGV[3], '"rating":"(%a+)"')
if ARGV[3] == '' then redis.call('HDEL', ratings, ARGV[2]) else redis.call('HSET', ratings, ARGV[2], ARGV[3]) end
redis.call('HSET', meta, 'rated', 1)
redis.call('PEXPIREAT', ratings, expires)
if rating ~= was then
  local before = was and ',"was":"' .. was .. '"' or ''
  if rating then
    record('rating.given', ',"rating":"' .. rating .. '"' .. before)
  else
    record('rating.removed', before)
  end
end
if tracking then redis.call('HSET', meta, 'rated_at', now) end
mark_changed()
return {'ok', json}
