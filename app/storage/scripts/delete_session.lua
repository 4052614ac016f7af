-- @include clock
-- @include session
-- @include turn
-- Deletes every key of the session; its readers find it gone. ARGV: actor. Returns its owner, the hash that it had
-- before its migration, and the entries of its names, where it has them.
local previous_session = redis.call('HGET', meta, 'was') or ''
local running = redis.call('HMGET', turn, 'id', 'address')
if running[1] then shorten_engine_slot(running[1], running[2]) end
redis.call('DEL', meta, messages, events, turn, answer_text, client_ids, tickets, ratings, base .. 'feeds',
  base .. 'notes', base .. 'reads', base .. 'outbox', typing)
redis.call('PUBLISH', base .. 'bell', '')
return {'ok', session[4] or '', previous_session, session[11] or ''}
