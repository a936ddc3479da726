-- Who is present. ARGV: digest. Returns packed: client, user, info of each.
local members, present = kinds(ARGV[5])
local over = {}
for _, client in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', now)) do over[client] = true end
local values, all = {}, redis.call('HGETALL', members)
for i = 1, #all, 2 do
  if not over[all[i]] then
    local user, info = split(all[i + 1])
    values[#values + 1] = all[i]
    values[#values + 1] = user
    values[#values + 1] = info
  end
end
return pack(values)
