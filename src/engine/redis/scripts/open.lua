-- How a room stands, which is made if there is none, or begun anew if its stream is the one that is to end.
-- KEYS: fields, stream. ARGV: an epoch for a new stream, the epoch that ends or "", milliseconds that a room without
-- anything lasts, publishing command, channel.
local fields, stream = KEYS[1], KEYS[2]
local epoch = redis.call('HGET', fields, 'e')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', fields, 'e', epoch, 'o', 0, 'w', 0)
  redis.call('DEL', stream)
  redis.call('PEXPIRE', fields, ARGV[3])
elseif epoch == ARGV[2] then
  epoch = ARGV[1]
  for _, name in ipairs(redis.call('HKEYS', fields)) do
    local table = string.sub(name, 1, 2)
    if table == 'a:' or table == 'r:' then
      redis.call('HDEL', fields, name)
    end
  end
  redis.call('HSET', fields, 'e', epoch, 'o', 0)
  redis.call('DEL', stream)
  redis.call(ARGV[4], ARGV[5], 'R' .. epoch)
end
return { redis.call('HGETALL', fields), redis.call('XRANGE', stream, '-', '+') }
