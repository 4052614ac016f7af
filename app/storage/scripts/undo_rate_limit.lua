--! clock
-- Gives one count back, where the window still stands.
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end
return {1}
