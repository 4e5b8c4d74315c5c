-- A field is set or forgotten, and a word told.
-- KEYS: fields. ARGV: field or "", "set" or "forget", value, milliseconds that the room lasts at least, publishing
-- command, channel, node, word or "".
local fields = KEYS[1]
if ARGV[1] ~= '' then
  if ARGV[2] == 'set' then
    redis.call('HSET', fields, ARGV[1], ARGV[3])
  else
    redis.call('HDEL', fields, ARGV[1])
  end
end
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
return 1
