--! clock session write
-- ARGV: who, ttl, max age, idle ms, '1' where an ended session may be touched (a resume)
if ended and ARGV[5] ~= '1' then return {'ended'} end
here(ARGV[2], ARGV[3], ended and math.huge or ARGV[4])
return {'ok', expires}
