--! clock session write
-- ARGV: who, ttl, max age, idle ms, '1' where an ended session may be touched (a resume)
if ended then
  if ARGV[5] ~= '1' then return {'ended'} end
else
  if now - seen >= tonumber(ARGV[4]) then
    emit('session', '{"status":"active"}')
    ring()
  end
end
save(true, tonumber(ARGV[2]), tonumber(ARGV[3]))
return {'ok', expires}
