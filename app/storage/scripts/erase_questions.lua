-- Erases the questions of one group (ARGV[1]), or all of them. Returns how many groups there were.
local ids = ARGV[1] ~= '' and {ARGV[1]} or redis.call('ZRANGE', KEYS[1], 0, -1)
local erased = 0
for _, id in ipairs(ids) do
  erased = erased + redis.call('DEL', KEYS[1] .. ':' .. id)
  redis.call('ZREM', KEYS[1], id)
end
return {erased}
