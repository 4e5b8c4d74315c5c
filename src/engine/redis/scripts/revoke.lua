-- Somebody is refused until a time, or no longer; the later change counts, and is told.
-- KEYS: changes, their ends. ARGV: name, when it was changed, when it ends, "r" to refuse or "e" to end that, "now" if it
-- is later than whatever is known, the time, how many there may be, publishing command, channel, node, ticket.
local changes, ends, name = KEYS[1], KEYS[2], ARGV[1]
for _, over in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[6], 'LIMIT', 0, 1000)) do
  redis.call('HDEL', changes, over)
  redis.call('ZREM', ends, over)
end
local at, until_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HGET', changes, name)
if held then
  local was, ended = string.match(held, '^(%d+) (%d+)')
  was, ended = tonumber(was), tonumber(ended)
  if was >= at then
    if ARGV[5] ~= 'now' then
      return 'old'
    end
    at = was + 1
  end
  if ARGV[4] == 'e' and ended > until_ms then
    -- The end is remembered for as long as a node that has not heard of it could refuse.
    until_ms = ended
  end
elseif redis.call('HLEN', changes) >= tonumber(ARGV[7]) then
  return 'full'
end
local change = string.format('%.0f %.0f %s', at, until_ms, ARGV[4])
if until_ms > tonumber(ARGV[6]) then
  redis.call('HSET', changes, name, change)
  redis.call('ZADD', ends, until_ms, name)
  local last = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', changes, string.format('%.0f', tonumber(last)))
  redis.call('PEXPIREAT', ends, string.format('%.0f', tonumber(last)))
end
redis.call(ARGV[8], ARGV[9], ARGV[10] .. ' ' .. ARGV[11] .. ' ' .. change .. ' ' .. name)
return 'kept'
