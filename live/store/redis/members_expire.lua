-- Removes clients whose time is over. ARGV: how many at most, digests.
-- Returns packed: number of the digest, client, user, info of each.
local most, values = tonumber(ARGV[5]), {}
for i = 6, #ARGV do
  local _, present = kinds(ARGV[i])
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', now, 'LIMIT', 0, most - #values / 4)) do
    local user, info = remove(ARGV[i], client)
    if user then
      for _, value in ipairs({tostring(i - 6), client, user, info}) do values[#values + 1] = value end
    end
  end
end
return pack(values)
