-- Included by the verbs that change who answers: the bot (''), nobody yet (`queue`), or an operator (`human`).

-- Ends a running answer with the words so far, which stay; before the first word no message is stored.
local function interrupt_turn()
  local running = redis.call('HMGET', turn, 'id', 'lease', 'cid', 'question', 'begun', 'first')
  if running[1] then
    close_turn(running, {outcome = 'interrupted', metadata = '{"interrupted":true}', citations = '[]'})
  end
end

local function append_handler_event(reason, position)
  local data = '{"handler":"' .. (handler == '' and 'bot' or handler) .. '","assigned_to":'
    .. (handler == 'human' and '{"name":' .. cjson.encode(operator_name) .. '}' or 'null')
  if handler == 'queue' and position ~= '' then data = data .. ',"queue_position":' .. position end
  append_event('handler', data .. ',"reason":"' .. reason .. '"}')
end

-- `position`: in the queue, '' where it is not known. A handler that is set a second time starts anew.
local function set_handler(new, operator_id, name, reason, position)
  handler, operator, operator_name = new, operator_id, name
  waiting = new == 'queue' and now or 0
  if new == '' then
    redis.call('HDEL', meta, 'handler', 'op', 'op_name', 'waiting', 'position', 'present')
  else
    -- `present`: an operator who answers a visitor that is long gone has as much time as any other.
    redis.call('HSET', meta, 'handler', new, 'op', operator_id, 'op_name', name, 'waiting', waiting, 'position', position,
      'present', now)
  end
  append_handler_event(reason, position)
end

local function enqueue(reason, position, by)
  interrupt_turn()
  set_handler('queue', '', '', reason, position)
  record('human.requested', ',"by":"' .. by .. '"')
end

local function waited_ms()
  local ms = handler == 'queue' and string.format('%.0f', now - waiting) or 'null'  -- JSON
  return ms
end

local function record_taken(waited)
  record('human.taken', ',"operator":' .. cjson.encode(operator_name) .. ',"waited_ms":' .. waited)
end

local function take(operator_id, name)
  interrupt_turn()
  local waited = waited_ms()
  set_handler('human', operator_id, name, 'taken', '')
  record_taken(waited)
end

local function release(to, operator_id, name, reason, position)
  interrupt_turn()
  local was_human, waited = handler == 'human', waited_ms()
  set_handler(to == 'bot' and '' or to, operator_id, name, reason, position)
  if was_human or to == 'bot' then
    record('human.released', ',"to":"' .. (to == 'human' and 'operator' or to) .. '","reason":"' .. reason .. '"')
  elseif to == 'queue' then
    record('human.requested', ',"by":"operator"')
  end
  if to == 'human' then record_taken(waited) end
end
