-- Stands before the scripts that deal with leases. A lease is <prefix>lease:<name>, a hash: owner, token, until, note,
-- and wanted (until when it counts that another owner asked).
local function lease_key(name)
  return PREFIX .. 'lease:' .. name
end

-- Owner and token, or nothing when nobody has it.
local function holder_of(key)
  local f = redis.call('HMGET', key, 'owner', 'token', 'until')
  if f[3] and tonumber(f[3]) > now then return f[1], f[2] end
end

local function is_held(key, owner, token)
  local its_owner, its_token = holder_of(key)
  return its_owner == owner and its_token == token
end

local function lend(key, ttl)
  redis.call('HSET', key, 'until', string.format('%.6f', now + ttl))
  redis.call('EXPIRE', key, math.ceil(ttl) + 60)
end
