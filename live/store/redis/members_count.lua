-- How many are present. ARGV: digest. Returns number of clients, number of users.
local members, present, users = kinds(ARGV[5])
local over, gone = redis.call('ZRANGEBYSCORE', present, '-inf', now), {}
local different = redis.call('HLEN', users)
for _, client in ipairs(over) do
  local member = redis.call('HGET', members, client)
  if member then
    local user = split(member)
    gone[user] = (gone[user] or 0) + 1
    if gone[user] == tonumber(redis.call('HGET', users, user)) then different = different - 1 end
  end
end
return {redis.call('ZCARD', present) - #over, different}
