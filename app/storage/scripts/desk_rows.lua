-- @no-writes
-- Rows that differ from their session. KEYS[1]: the set of all refs; ARGV: where to go on, how many about to look at, '1' where the
-- sessions are here too (in a Cluster they are elsewhere, and the caller compares), ms by which the expiry may differ,
-- CHECK_FIELDS of desk_rows.py.
-- Returns where to go on then ('0' at the end), and of each such row ref, hash and check; in a Cluster of all.
local desk, is_here, may_differ = 'baton:desk:{desk}:', ARGV[3] == '1', tonumber(ARGV[4])
local reply = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local check_fields, found = {unpack(ARGV, 5)}, {}

local function is_right(hash, check)
  local now = redis.call('HMGET', 'baton:{' .. hash .. '}:meta', unpack(check_fields))
  for i = 1, #check_fields do now[i] = now[i] or '' end
  local now_expires = table.remove(now)
  local known, expires = string.match(check, '^(.*) (%d+)$')
  return known == table.concat(now, ' ') and now_expires ~= '' and math.abs(now_expires - expires) <= may_differ
end

for i = 1, #reply[2], 2 do
  local row = redis.call('HMGET', desk .. 'row:' .. reply[2][i], 'hash', 'check')
  if row[1] and not (is_here and is_right(row[1], row[2] or '')) then
    found[#found + 1] = {reply[2][i], row[1], row[2] or ''}
  end
end
return {reply[1], found}
