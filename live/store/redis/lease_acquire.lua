-- Gives a lease. ARGV: name, owner, seconds. Returns its token, or nothing while another owner has it.
local key, owner, ttl = PREFIX .. 'lease:' .. ARGV[5], ARGV[6], tonumber(ARGV[7])
local held = redis.call('HMGET', key, 'owner', 'token', 'until')
local token = held[2]
if not held[3] or tonumber(held[3]) <= now then
  -- From the clock, so that tokens go on growing even when Redis lost everything.
  local counter = PREFIX .. 'token'
  local last = tonumber(redis.call('GET', counter) or 0)
  token = string.format('%.0f', math.max(last + 1, math.floor(now * 1000000)))
  redis.call('SET', counter, token)
elseif held[1] ~= owner then
  return false
end
redis.call('HSET', key, 'owner', owner, 'token', token, 'until', string.format('%.6f', now + ttl))
redis.call('EXPIRE', key, math.ceil(ttl) + 60)
return token
