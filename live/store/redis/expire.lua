-- Forgets channels that were idle for too long. ARGV: how many to look at, how many idle ones to pass over.
-- Returns how many it looked at, and how many of them stay as their history lasts longer.
local idle = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', now - TTL, 'LIMIT', ARGV[6], ARGV[5])
local kept = 0
for _, digest in ipairs(idle) do
  if load(digest).touched then kept = kept + 1 else forget(digest) end
end
return {#idle, kept}
