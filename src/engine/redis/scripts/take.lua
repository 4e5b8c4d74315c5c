-- A field is set, and what it held is the answer.
-- KEYS: fields. ARGV: field, value, "new" if only an absent one is set, milliseconds that the room lasts at least,
-- publishing command, channel, node, word or "".
local fields = KEYS[1]
local held = redis.call('HGET', fields, ARGV[1])
if held and ARGV[3] == 'new' then
  return held
end
redis.call('HSET', fields, ARGV[1], ARGV[2])
if ARGV[8] ~= '' then
  local number = redis.call('HINCRBY', fields, 'w', 1)
  redis.call(ARGV[5], ARGV[6], 'W' .. ARGV[7] .. ' ' .. number .. ' ' .. ARGV[8])
end
-- A room that somebody created stays until it is closed.
if redis.call('HEXISTS', fields, 'c:') == 1 then
  redis.call('PERSIST', fields)
elseif redis.call('PTTL', fields) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', fields, ARGV[4])
end
return held
