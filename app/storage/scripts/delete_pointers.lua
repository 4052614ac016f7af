-- A session was deleted: removes a key that leads to it. ARGV: its hash, where KEYS[1] is its user's last session or the
-- entry of its name, which may be another one by now; without it KEYS[1] is the pointer from the keys it had before its migration.
if not ARGV[1] or string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'ok'}
