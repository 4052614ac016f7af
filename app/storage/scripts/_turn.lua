-- Included by the verbs of a running turn.

-- Whether a failover has lost text that was written before this byte offset: its writer has to send all of it again.
local function has_gap(offset)
  return redis.call('STRLEN', answer_text) < offset
end

-- Appends to the answer at a byte offset; what is there already (the reply was lost, the call repeated) is skipped.
-- `is_last`: the turn ends in this step, so nothing about it needs to be stored.
local first_word
local function append_text(turn_id, offset, text, is_last)
  local length = redis.call('STRLEN', answer_text)
  if length > offset then text = string.sub(text, length - offset + 1) end
  if text == '' then return false end
  if tracking and length == 0 then
    first_word = now
    if not is_last then redis.call('HSET', turn, 'first', now) end
  end
  redis.call('APPEND', answer_text, text)
  append_event('answer.delta', '{"turn_id":"' .. turn_id .. '","text":' .. cjson.encode(text) .. '}')
  return true
end

-- For analytics: how an answer ended, and the ms until its first word.
local function record_answer(begun, first, error_code, text, not_found)
  if error_code then
    record('answer.failed', ',"code":' .. cjson.encode(error_code))
  elseif text ~= '' then
    local first_ms = begun and first and string.format('%.0f', first - begun) or 'null'
    record('answer', ',"first_ms":' .. first_ms)
  end
  if not_found then record('answer.not_found') end
end

-- A turn that others end has its slot in the engine budget until its worker notices, which a living one does within a second.
-- That of a dead worker ends by this. In a Cluster the budget is on another node: there the slot expires later.
local CLOSED_SLOT_MS = 2000
local function shorten_engine_slot(id, address)
  local slots = 'baton:limits:{engine}:running'
  for _, key in ipairs({slots, slots .. ':' .. (address or '')}) do
    redis.pcall('ZADD', key, 'XX', 'LT', string.format('%.0f', clock + CLOSED_SLOT_MS), id)
  end
end

-- Ends the running turn: stores its text as a message, appends its last event and removes it.
-- `running`: id, lease, client id, number of the question, when it began, when its first word came.
-- Returns the type and the JSON of the last event.
-- Without a word there is no message, unless the visitor has stopped it.
local function close_turn(running, result)
  local id, text = running[1], redis.call('GET', answer_text) or ''
  local failed = result.outcome == 'error'
  local json, kind, data
  if text ~= '' or result.outcome == 'stopped' then
    json = append_message('"role":"assistant","content":' .. cjson.encode(text) .. ',"metadata":' .. result.metadata .. '}')
  end
  if failed then
    kind, data = 'answer.error', '{"turn_id":"' .. id .. '","code":' .. cjson.encode(result.code)
      .. ',"detail":' .. cjson.encode(result.detail)
    if result.final then data = data .. ',"retryable":false' end
    if json then data = data .. ',"message":' .. json end
  else
    kind, data = 'answer.end', '{"turn_id":"' .. id .. '","message":' .. (json or 'null') .. ',"citations":' .. result.citations
  end
  data = data .. '}'
  append_event(kind, data)
  if running[3] ~= '' then
    redis.call('HSET', client_ids, 'q:' .. running[3], running[4] .. ':' .. (failed and 'failed' or json and seq or 'cut') .. ':' .. id)
  end
  if tracking then record_answer(running[5], first_word or running[6], failed and result.code, text, result.not_found) end
  if #KEYS == 1 then shorten_engine_slot(id, redis.call('HGET', turn, 'address')) end  -- else the verb gives it back
  redis.call('DEL', turn, answer_text)
  return kind, data
end
