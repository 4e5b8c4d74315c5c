-- All of a room is forgotten, and a word told; its number says that others begin anew.
-- KEYS: fields, stream. ARGV: publishing command, channel, node, word.
redis.call('DEL', KEYS[1], KEYS[2])
redis.call(ARGV[1], ARGV[2], 'W' .. ARGV[3] .. ' 0 ' .. ARGV[4])
return 1
