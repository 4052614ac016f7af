-- Replaces the canned replies. KEYS[1]: them; ARGV: as JSON.
redis.call('SET', KEYS[1], ARGV[1])
return 1
