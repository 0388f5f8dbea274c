-- KEYS: nodes. ARGV: node, what it said last. Buries it unless it has said something since.
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
    return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
