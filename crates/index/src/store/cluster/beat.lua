-- KEYS: nodes. ARGV: node, how often it has beaten, what it says of itself.
-- Gives whether the node is still known, and all nodes. One that was buried meanwhile must begin anew.
local known = redis.call('HGET', KEYS[1], ARGV[1])
local is_known = 1
if not known and tonumber(ARGV[2]) > 0 then
    is_known = 0
else
    redis.call('HSET', KEYS[1], ARGV[1], (ARGV[2] + 1) .. '|' .. ARGV[3])
end
return {is_known, redis.call('HGETALL', KEYS[1])}
