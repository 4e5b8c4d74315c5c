-- An entry gets its place, is kept, and told; unless one of that name was before.
-- KEYS: fields, stream, name. ARGV: an epoch for a new stream, entry, entries kept, milliseconds kept, what a repeat of
-- the name is told or "", milliseconds that the name lasts, publishing command, channel.
local fields, stream, once = KEYS[1], KEYS[2], KEYS[3]
if ARGV[5] ~= '' then
  local first = redis.call('GET', once)
  if first then
    return first
  end
end
local epoch = redis.call('HGET', fields, 'e')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', fields, 'e', epoch, 'o', 0, 'w', 0)
  redis.call('DEL', stream)
end
local offset = redis.call('HINCRBY', fields, 'o', 1)
local keep, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
if keep > 0 then
  redis.call('XADD', stream, 'MAXLEN', '=', keep, offset .. '-0', 'b', ARGV[2])
  redis.call('PEXPIRE', stream, ttl)
end
-- A room that somebody created stays until it is closed.
if redis.call('HEXISTS', fields, 'c:') == 1 then
  redis.call('PERSIST', fields)
elseif redis.call('PTTL', fields) < ttl then
  redis.call('PEXPIRE', fields, ttl)
end
local place = epoch .. ' ' .. offset
if ARGV[5] ~= '' then
  redis.call('SET', once, place .. ' ' .. ARGV[5], 'PX', ARGV[6])
end
redis.call(ARGV[7], ARGV[8], 'E' .. place .. ' ' .. ARGV[2])
return place
