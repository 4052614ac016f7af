-- Included by the scripts on the desk's index. A conversation is known by its `ref`:
--   row:<ref>          its row: json, the text that a search looks in, hash, sig and check (see desk_index.py), applied (the
--                      number of the last domain event), number (of the snapshot), view and place, since (when its
--                      operator got it). It expires with the session
--   view:<view>, view:mine:<operator>, user:<user>   sorted sets of refs, by when they began to wait or were last active
--   rows, seen, held   sorted sets of refs: by when their session expires, when a visitor who is not recorded as abandoned
--                      was last seen, and the same of conversations that a person has
--   places             hash from ref to its operator and user
--   holders            the operators who have conversations
--   by_server:<ref>    the operator for whom a server took it
--   viewers:<ref>      who looks at it, by when they are taken to have left
--   live, position     what has changed, numbered: a stream of refs, and its last number with the tag of this numbering
local desk = 'baton:desk:{desk}:'
local VIEWS = {'queue', 'open', 'bot', 'ended'}
local MAX_LIVE, LIVE_KEPT_MS = 10000, 3600000

-- Adds to the desks' feed that a conversation has changed, or is gone.
local function append_live(ref)
  local number = redis.call('HINCRBY', desk .. 'position', 'n', 1)
  if number == 1 then redis.call('HSETNX', desk .. 'position', 'tag', string.format('%08x', math.floor(clock / 1000))) end
  redis.call('XADD', desk .. 'live', 'MAXLEN', '~', MAX_LIVE, number .. '-0', 'r', ref)
end

local function notify_desks(kept_ms)
  redis.call('PEXPIRE', desk .. 'live', LIVE_KEPT_MS)
  redis.call('PEXPIRE', desk .. 'position', kept_ms)
  redis.call('PUBLISH', desk .. 'bell', '')
end

-- Takes a conversation out of the views, but for those named.
local function leave_views(ref, view, operator, user)
  for _, other in ipairs(VIEWS) do
    if other ~= view then redis.call('ZREM', desk .. 'view:' .. other, ref) end
  end
  local old_operator, old_user = string.match(redis.call('HGET', desk .. 'places', ref) or '', '^(%S*) (%S*)$')
  if old_operator and old_operator ~= operator then
    redis.call('ZREM', desk .. 'view:mine:' .. old_operator, ref)
    if redis.call('EXISTS', desk .. 'view:mine:' .. old_operator) == 0 then
      redis.call('SREM', desk .. 'holders', old_operator)
    end
  end
  if old_user and old_user ~= user then redis.call('ZREM', desk .. 'user:' .. old_user, ref) end
end

local function remove_conversation(ref)
  leave_views(ref, '', '', '')
  redis.call('DEL', desk .. 'row:' .. ref, desk .. 'by_server:' .. ref, desk .. 'viewers:' .. ref)
  for _, set in ipairs({'rows', 'seen', 'held'}) do redis.call('ZREM', desk .. set, ref) end
  redis.call('HDEL', desk .. 'places', ref)
  append_live(ref)
end
