--! clock session
-- ARGV: who. Nothing of the session is left; whoever listens finds it gone.
redis.call('DEL', meta, history, live, turn, said, cids, tickets, ratings, base .. 'feeds')
redis.call('PUBLISH', base .. 'bell', '')
return {'ok'}
