-- @no-writes
-- What a row that is up to date has as its `check`. KEYS[1]: the meta key of a session; ARGV: CHECK_FIELDS of desk_rows.py.
-- Returns '' where the session is gone.
local values = redis.call('HMGET', KEYS[1], unpack(ARGV))
for i = 1, #ARGV do values[i] = values[i] or '' end
return values[1] == '' and '' or table.concat(values, ' ')
