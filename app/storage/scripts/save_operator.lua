-- Adds or replaces an operator. ARGV: id, record.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
