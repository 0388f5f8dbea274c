-- KEYS: sequence, owners, records, channel. ARGV: node, how many are put, message, fields and values that are put, fields that go.
-- All of a bucket is in one slot, so this happens as a whole; run twice it comes to the same, but for the sequence.
local puts = tonumber(ARGV[2])
local last = 3 + 2 * puts
if puts > 0 then
    redis.call('HSET', KEYS[3], unpack(ARGV, 4, last))
    redis.call('SADD', KEYS[2], ARGV[1])
end
if #ARGV > last then
    redis.call('HDEL', KEYS[3], unpack(ARGV, last + 1))
end
local sequence = redis.call('INCR', KEYS[1])
redis.call('SPUBLISH', KEYS[4], sequence .. ':' .. ARGV[1] .. ':' .. ARGV[3])
return redis.call('HLEN', KEYS[3])
