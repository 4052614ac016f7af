-- @include clock
-- @no-writes
-- The conversations that have changed after a position, each once, as they are now. KEYS: the position, the stream of changes.
-- ARGV: number and tag of the position, max changes. Returns ok or reset, the last number of this page, the tag, the time, and of
-- each conversation its number, ref, JSON ('' gone) and place in the queue (0: it does not wait).
local desk = 'baton:desk:{desk}:'
local position = redis.call('HMGET', KEYS[1], 'n', 'tag')
local last, tag, after = tonumber(position[1] or 0), position[2] or '', tonumber(ARGV[1])
if ARGV[2] ~= tag or after > last then return {'reset', last, tag, clock, {}} end
if after == last then return {'ok', last, tag, clock, {}} end
local entries = redis.call('XRANGE', KEYS[2], (after + 1) .. '-0', '+', 'COUNT', ARGV[3])
if not entries[1] or entries[1][1] ~= (after + 1) .. '-0' then return {'reset', last, tag, clock, {}} end
local newest = {}
for i = 1, #entries do newest[entries[i][2][2]] = i end
local rows = {}
for i = 1, #entries do
  local ref = entries[i][2][2]
  if newest[ref] == i then
    local row = redis.call('HMGET', desk .. 'row:' .. ref, 'json', 'view')
    local rank = row[2] == 'queue' and redis.call('ZRANK', desk .. 'view:queue', ref)
    rows[#rows + 1] = {after + i, ref, row[1] or '', rank and rank + 1 or 0}
  end
end
return {'ok', after + #entries, tag, clock, rows}
