-- @include clock
-- @include session
-- @include write
-- Stores in a session which entry leads to it. ARGV: actor, the entry. It has at most one name of each kind (user, server):
-- the one that it has stays.
local kind = string.match(ARGV[2], '^baton:name:%a+:')
local names = {}
for entry in string.gmatch(session[11] or '', '%S+') do
  if string.sub(entry, 1, #kind) == kind and entry ~= ARGV[2] then return {'taken'} end
  if entry ~= ARGV[2] then names[#names + 1] = entry end
end
names[#names + 1] = ARGV[2]
redis.call('HSET', meta, 'names', table.concat(names, ' '))
refresh_ttl_for_wait()
return {'ok'}
