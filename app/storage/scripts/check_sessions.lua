-- @no-writes
-- Whether rows of the index are up to date. KEYS: meta keys of sessions. Returns of each what a row that is has as its `check`,
-- '' where the session is gone.
local checks = {}
for i = 1, #KEYS do
  local found = redis.call('HMGET', KEYS[i], 'count', 'handler', 'op', 'ended', 'outbox', 'expires')
  for field = 1, 6 do found[field] = found[field] or '' end
  checks[i] = found[1] == '' and '' or table.concat(found, ' ')
end
return checks
