-- @include clock
-- @include engine_slot
-- Takes a slot of the engine budget of the whole service. KEYS: see _engine_slot.lua.
-- ARGV: member, max at once, max per minute, slot ms, max at once for one address. Returns 0, or the ms to wait.
local wait = engine_slot_wait(KEYS, {ARGV[2], ARGV[3], ARGV[5]}, ARGV[4])
if wait then return {wait} end
take_engine_slot(KEYS, ARGV[1], ARGV[4])
return {0}
