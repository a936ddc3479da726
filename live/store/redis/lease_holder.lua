-- Who has a lease. ARGV: name. Returns owner, token and note, or nothing.
local key = lease_key(ARGV[5])
local owner, token = holder_of(key)
return owner and {owner, token, redis.call('HGET', key, 'note') or ''}
