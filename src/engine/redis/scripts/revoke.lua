-- Somebody is refused until a time, or no longer; the later change counts, and is told.
-- KEYS: changes, when each is over, those that refuse nobody any more. ARGV: name, when it was changed, when it is over,
-- "r" to refuse or "e" to end that, "now" if it is later than whatever is known, the time, how many there may be,
-- publishing command, channel, node, ticket.
local changes, ends, lifted, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local function forget(which)
  redis.call('HDEL', changes, which)
  redis.call('ZREM', ends, which)
  redis.call('ZREM', lifted, which)
end
for _, over in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[6], 'LIMIT', 0, 1000)) do
  forget(over)
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
elseif until_ms > tonumber(ARGV[6]) and redis.call('HLEN', changes) >= tonumber(ARGV[7]) then
  local spare = redis.call('ZRANGE', lifted, 0, 0)[1]
  if not spare then
    return 'full'
  end
  forget(spare)
end
local change = string.format('%.0f %.0f %s', at, until_ms, ARGV[4])
if until_ms > tonumber(ARGV[6]) then
  redis.call('HSET', changes, name, change)
  redis.call('ZADD', ends, until_ms, name)
  if ARGV[4] == 'e' then
    redis.call('ZADD', lifted, until_ms, name)
  else
    redis.call('ZREM', lifted, name)
  end
  local last = string.format('%.0f', tonumber(redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]))
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIREAT', key, last)
  end
elseif held then
  forget(name)
end
redis.call(ARGV[8], ARGV[9], ARGV[10] .. ' ' .. ARGV[11] .. ' ' .. change .. ' ' .. name)
return 'kept'
