-- More time for a lease, or with 0 seconds its end. ARGV: name, owner, token, seconds. Returns 0 when it was lost.
local key, ttl = PREFIX .. 'lease:' .. ARGV[5], tonumber(ARGV[8])
local held = redis.call('HMGET', key, 'owner', 'token', 'until')
if held[1] ~= ARGV[6] or held[2] ~= ARGV[7] or tonumber(held[3]) <= now then return 0 end
if ttl > 0 then
  redis.call('HSET', key, 'until', string.format('%.6f', now + ttl))
  redis.call('EXPIRE', key, math.ceil(ttl) + 60)
else
  redis.call('DEL', key)
end
return 1
