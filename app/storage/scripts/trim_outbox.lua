-- Forgets the domain events of a session up to a number: they are applied. KEYS[1]: its meta key; ARGV: the number.
redis.call('XTRIM', string.sub(KEYS[1], 1, -5) .. 'outbox', 'MINID', (ARGV[1] + 1) .. '-0')
return {'ok'}
