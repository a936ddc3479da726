-- More time for a lease, or with 0 seconds its end. ARGV: name, owner, token, seconds, and where there is another one, a
-- note. Returns 0 when it was lost, 2 when another owner wants it, else 1.
local key, ttl, note = lease_key(ARGV[5]), tonumber(ARGV[8]), ARGV[9]
if not is_held(key, ARGV[6], ARGV[7]) then return 0 end
if ttl <= 0 then
  redis.call('DEL', key)
  return 1
end
lend(key, ttl)
if note then redis.call('HSET', key, 'note', note) end
return tonumber(redis.call('HGET', key, 'wanted') or 0) > now and 2 or 1
