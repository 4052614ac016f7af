-- Included by the verb that creates a session, in place of _session.lua.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)
local session, asked, ref, outbox_number, stored_asked, stored_outbox = {}, 0, nil, 0, 0, 0
local expires = now + math.min(tonumber(ARGV[1]), tonumber(ARGV[2]))
