-- KEYS: sequence, owners, records, channel. ARGV: node, number of the batch, how many are put, message, fields and values that are
-- put, fields that go. All of a bucket is in one slot, so this happens as a whole.
-- A batch that was on its way for so long that a later one of its node was faster says what is true no more: nothing of it is done.
local latest = redis.call('HGET', KEYS[2], ARGV[1])
if latest and tonumber(latest) >= tonumber(ARGV[2]) then
    return -1
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local puts = tonumber(ARGV[3])
local last = 4 + 2 * puts
if puts > 0 then
    redis.call('HSET', KEYS[3], unpack(ARGV, 5, last))
end
if #ARGV > last then
    redis.call('HDEL', KEYS[3], unpack(ARGV, last + 1))
end
local sequence = redis.call('INCR', KEYS[1])
redis.call('SPUBLISH', KEYS[4], sequence .. ':' .. ARGV[1] .. ':' .. ARGV[4])
return redis.call('HLEN', KEYS[3])
