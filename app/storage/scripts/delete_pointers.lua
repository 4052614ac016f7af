--! clock
-- A session is erased: what leads to it goes too. ARGV: its ref, where KEYS[1] is its user's last session and may be
-- another by now; else KEYS[1] is the way to it from its old place.
if not ARGV[1] or string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'ok'}
