-- Forgets domain events of sessions up to a number: they are applied. KEYS: their meta keys; ARGV: the number of each.
for i = 1, #KEYS do redis.call('XTRIM', string.sub(KEYS[i], 1, -5) .. 'outbox', 'MINID', (ARGV[i] + 1) .. '-0') end
return {'ok'}
