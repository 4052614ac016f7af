-- Included by the verbs of a running turn.
-- Adds words at a byte offset; what is there already (a lost reply, sent again) is not added twice.
local function grow(turn_id, offset, text, stage)
  local have = redis.call('STRLEN', said)
  if have > offset then text = string.sub(text, have - offset + 1) end
  if text == '' and stage == '' then return false end
  local data = '{"turn_id":"' .. turn_id .. '","text":' .. cjson.encode(text)
  if stage ~= '' then data = data .. ',"stage":' .. cjson.encode(stage) end
  redis.call('APPEND', said, text)
  emit('answer.delta', data .. '}')
  return true
end
