-- Included by the verbs that read. The cursor to read a running answer from: before its first event, or, where that has
-- been trimmed, from now on. `start`: the number of the event before the answer's first.
local function turn_start_cursor(start)
  start = tonumber(start)
  if start < seq and not redis.call('XRANGE', events, (start + 1) .. '-0', (start + 1) .. '-0')[1] then return seq end
  return start
end
