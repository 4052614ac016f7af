-- Included by verbs that count the call against an address' limit in their own step.
-- The last two of ARGV: limit (0: none, -1: reached, counted elsewhere), window ms; its count is then the last of KEYS. Read before the session is, so
-- that calls on sessions that are not there count too.
local toll_most = tonumber(ARGV[#ARGV - 1])
local toll = toll_most > 0 and KEYS[#KEYS]
local admitted, toll_left, toll_reset = toll_most >= 0, 0, 0
if toll then
  local used = tonumber(redis.call('GET', toll) or 0)
  admitted = used < toll_most
  if admitted then
    redis.call('INCR', toll)
    if used == 0 then redis.call('PEXPIRE', toll, ARGV[#ARGV]) end
    toll_left = toll_most - used - 1
  end
  toll_reset = window_left(toll, tonumber(ARGV[#ARGV]))
end

-- A replay counts against no limit.
local function repay()
  if toll and admitted then redis.call('DECR', toll) end
end
