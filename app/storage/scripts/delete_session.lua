--! clock session
-- ARGV: who. Nothing of the session is left; whoever listens finds it gone. Returns its owner and where it
-- stood before, where it has them.
local was = redis.call('HGET', meta, 'was') or ''
redis.call('DEL', meta, history, live, turn, said, cids, tickets, ratings, base .. 'feeds')
redis.call('PUBLISH', base .. 'bell', '')
return {'ok', m[4] or '', was}
