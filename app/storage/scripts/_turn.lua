-- Included by the verbs of a running turn.

-- Appends to the answer at a byte offset; what is there already (the reply was lost, the call repeated) is skipped.
local function append_text(turn_id, offset, text)
  local length = redis.call('STRLEN', answer_text)
  if length > offset then text = string.sub(text, length - offset + 1) end
  if text == '' then return false end
  redis.call('APPEND', answer_text, text)
  append_event('answer.delta', '{"turn_id":"' .. turn_id .. '","text":' .. cjson.encode(text) .. '}')
  return true
end

-- Ends the running turn: stores its text as a message, appends its last event and removes it.
-- `running`: id, lease, client id, number of the question. Returns the type and the JSON of the last event.
local function close_turn(running, result)
  local id, text = running[1], redis.call('GET', answer_text) or ''
  local failed = result.outcome == 'error'
  local json, kind, data
  if text ~= '' or not failed then
    json = append_message('"role":"assistant","content":' .. cjson.encode(text) .. ',"metadata":' .. result.metadata .. '}')
  end
  if failed then
    kind, data = 'answer.error', '{"turn_id":"' .. id .. '","code":' .. cjson.encode(result.code)
      .. ',"detail":' .. cjson.encode(result.detail)
    if result.final then data = data .. ',"retryable":false' end
    if json then data = data .. ',"message":' .. json end
  else
    kind, data = 'answer.end', '{"turn_id":"' .. id .. '","message":' .. json .. ',"citations":' .. result.citations
  end
  data = data .. '}'
  append_event(kind, data)
  if running[3] ~= '' then
    redis.call('HSET', client_ids, 'q:' .. running[3], running[4] .. ':' .. (failed and 'failed' or seq) .. ':' .. id)
  end
  redis.call('DEL', turn, answer_text)
  return kind, data
end
