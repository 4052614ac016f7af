-- Included by the verbs that read. Where to read a running answer from: before its first event, or, where that has been
-- dropped, from now on. `start` is the number of the event before it, as the turn keeps it.
local function place_of(start)
  start = tonumber(start)
  if start < seq and not redis.call('XRANGE', live, (start + 1) .. '-0', (start + 1) .. '-0')[1] then return seq end
  return start
end
