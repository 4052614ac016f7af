-- @no-writes
-- What a row that is up to date has as its `check`. KEYS[1]: the meta key of a session. Returns '' where the session is gone.
local found = redis.call('HMGET', KEYS[1], 'count', 'handler', 'op', 'ended', 'outbox', 'expires')
for i = 1, 6 do found[i] = found[i] or '' end
return found[1] == '' and '' or table.concat(found, ' ')
