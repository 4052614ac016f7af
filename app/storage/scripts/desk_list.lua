-- @include clock
-- @no-writes
-- A page of the desk's list. KEYS[1]: the sorted set of refs. ARGV: '1' for the newest first, score and ref of the last row that
-- the caller has ('' none), max rows, what is searched for ('' nothing), max rows looked at, only this view ('' any), the operator.
-- Returns the time, counts of the views, score and ref where the next page begins ('' none), and of each row its JSON and its
-- place in the queue (0: it does not wait).
local desk = 'baton:desk:{desk}:'
local newest_first, after_score, after_ref = ARGV[1] == '1', ARGV[2], ARGV[3]
local max_rows, search, max_looks, only, operator = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
local BATCH = 100
local rows, looks, offset = {}, 0, 0
local last, following = nil, {'', ''}

local function batch()
  if newest_first then
    local from = after_score == '' and '+inf' or after_score
    return redis.call('ZREVRANGEBYSCORE', KEYS[1], from, '-inf', 'WITHSCORES', 'LIMIT', offset, BATCH)
  end
  local from = after_score == '' and '-inf' or after_score
  return redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', offset, BATCH)
end

-- Whether the caller has this entry: refs of one score are in the order of their letters.
local function is_before(ref, score)
  if score ~= after_score then return false end
  if newest_first then return ref >= after_ref end
  return ref <= after_ref
end

local function exists(hash)  -- in a Cluster the session is in another slot, and cannot be asked for here
  return redis.pcall('EXISTS', 'baton:{' .. hash .. '}:meta') ~= 0
end

-- JSON, view and hash of a row; nil where it is gone, or not what is asked for.
local function read_row(ref)
  local key = desk .. 'row:' .. ref
  if search ~= '' and not string.find(redis.call('HGET', key, 'text') or '', search, 1, true) then return nil end
  local row = redis.call('HMGET', key, 'json', 'view', 'hash')
  if row[1] and (only == '' or row[2] == only) and exists(row[3]) then return row end
end

-- Looks at one entry; false where the page is complete.
local function look(ref, score)
  if is_before(ref, score) then return true end
  local row = read_row(ref)
  looks = looks + 1
  if row then
    if #rows == 2 * max_rows then
      following = last
      return false
    end
    rows[#rows + 1] = row[1]
    rows[#rows + 1] = row[2] == 'queue' and (redis.call('ZRANK', desk .. 'view:queue', ref) or -1) + 1 or 0
  end
  last = {score, ref}
  return true
end

local function read_page()
  while true do
    local entries = batch()
    for i = 1, #entries, 2 do
      if not look(entries[i], entries[i + 1]) then return end
    end
    if #entries < 2 * BATCH then return end
    if looks >= max_looks then
      following = last
      return
    end
    offset = offset + BATCH
  end
end

local counts = {}
for i, view in ipairs({'queue', 'mine:' .. operator, 'open', 'bot', 'ended'}) do
  counts[i] = redis.call('ZCARD', desk .. 'view:' .. view)
end
if max_rows > 0 then read_page() end
return {clock, counts, following[1], following[2], rows}
