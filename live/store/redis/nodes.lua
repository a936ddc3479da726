-- The nodes that are alive. ARGV: id of one that is (empty: none), for how many seconds. Returns the ids.
local key = PREFIX .. 'nodes'
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if ARGV[5] ~= '' then
  redis.call('ZADD', key, now + tonumber(ARGV[6]), ARGV[5])
  redis.call('EXPIRE', key, math.ceil(tonumber(ARGV[6])) + 60)
end
return redis.call('ZRANGE', key, 0, -1)
