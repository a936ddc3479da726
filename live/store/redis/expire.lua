-- Forgets channels that were idle for too long. ARGV: how many at most. Returns how many it forgot.
local idle = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', now - TTL, 'LIMIT', 0, ARGV[5])
for _, digest in ipairs(idle) do forget(digest) end
return #idle
