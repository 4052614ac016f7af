-- @include clock
-- @include session
-- @include write
-- @include track
-- @include turn
-- @include handler
-- Gives the conversation to an operator, and ends a running answer with the words so far.
-- ARGV: '*', ttl, max age, operator's id, their name, '1' to take it from somebody else.
if ended then return {'ended'} end
if handler == 'human' then
  if operator == ARGV[4] then
    refresh_ttl_for_wait()
    return {'ok', 0}
  end
  if ARGV[6] ~= '1' then return {'already_taken', operator_name} end
end
take(ARGV[4], ARGV[5])
save('operator', tonumber(ARGV[2]), tonumber(ARGV[3]))
mark_changed()
notify()
return {'ok', 1}
