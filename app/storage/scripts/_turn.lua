-- Included by the verbs of a running turn.
-- Adds words at a byte offset; what is there already (a lost reply, sent again) is not added twice.
local function grow(turn_id, offset, text)
  local have = redis.call('STRLEN', said)
  if have > offset then text = string.sub(text, have - offset + 1) end
  if text == '' then return false end
  redis.call('APPEND', said, text)
  emit('answer.delta', '{"turn_id":"' .. turn_id .. '","text":' .. cjson.encode(text) .. '}')
  return true
end

-- Ends the running answer: stores what was said, tells it, and gives the turn up. `running`: id, lease, cid, question.
-- Returns the event that ends it, its kind and its JSON.
local function close_turn(running, told)
  local id, text = running[1], redis.call('GET', said) or ''
  local failed = told.outcome == 'error'
  local json, kind, data
  if text ~= '' or not failed then
    json = store('"role":"assistant","content":' .. cjson.encode(text) .. ',"metadata":' .. told.metadata .. '}')
  end
  if failed then
    kind, data = 'answer.error', '{"turn_id":"' .. id .. '","code":' .. cjson.encode(told.code) .. ',"detail":' .. cjson.encode(told.detail)
    if json then data = data .. ',"message":' .. json end
  else
    kind, data = 'answer.end', '{"turn_id":"' .. id .. '","message":' .. json .. ',"citations":' .. told.citations
  end
  data = data .. '}'
  emit(kind, data)
  if running[3] ~= '' then
    redis.call('HSET', cids, 'q:' .. running[3], running[4] .. ':' .. (failed and 'failed' or seq) .. ':' .. id)
  end
  redis.call('DEL', turn, said)
  return kind, data
end
