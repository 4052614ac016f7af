-- @no-writes
-- Rows that differ from their session. KEYS[1]: the set of all refs; ARGV: where to go on, how many about to look at, '1' where the
-- sessions are here too (in a Cluster they are elsewhere, and the caller compares), ms by which the expiry may differ,
-- CHECK_FIELDS of desk_rows.py.
-- Returns where to go on then ('0' at the end), and of each such row ref, hash and check; in a Cluster of all.
local desk, is_here, may_differ = 'baton:desk:{desk}:', ARGV[3] == '1', tonumber(ARGV[4])
local reply = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local check_fields, rows = {unpack(ARGV, 5)}, {}

local function is_up_to_date(hash, check)
  local current = redis.call('HMGET', 'baton:{' .. hash .. '}:meta', unpack(check_fields))
  for i = 1, #check_fields do current[i] = current[i] or '' end
  local current_expires = table.remove(current)
  local row_values, expires = string.match(check, '^(.*) (%d+)$')
  return row_values == table.concat(current, ' ') and current_expires ~= '' and math.abs(current_expires - expires) <= may_differ
end

for i = 1, #reply[2], 2 do
  local row = redis.call('HMGET', desk .. 'row:' .. reply[2][i], 'hash', 'check')
  if row[1] and not (is_here and is_up_to_date(row[1], row[2] or '')) then
    rows[#rows + 1] = {reply[2][i], row[1], row[2] or ''}
  end
end
return {reply[1], rows}
