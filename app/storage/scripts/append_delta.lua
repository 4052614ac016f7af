-- @include clock
-- @include session
-- @include write
-- @include turn
-- Appends text to the running answer and renews its lease; an empty text renews the lease only.
-- ARGV: actor, ttl, max age, turn id, lease ms, byte offset, text.
if redis.call('HGET', turn, 'id') ~= ARGV[4] then return {'closed'} end
redis.call('HSET', turn, 'lease', clock + ARGV[5])
if has_gap(tonumber(ARGV[6])) then
  refresh_ttl_for_wait()
  return {'gap'}
end
local appended = append_text(ARGV[4], tonumber(ARGV[6]), ARGV[7])
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
if appended then notify() end
return {'ok'}
