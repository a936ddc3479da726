-- Clients are present. ARGV: for how many seconds; and of each: digest, client, user, info.
local renewed = {}
for i = 6, #ARGV, 4 do
  local digest, client, user, info = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local members, present, users = kinds(digest)
  local member = #user .. ':' .. user .. info
  local before = redis.call('HGET', members, client)
  if before ~= member then
    if before then remove(digest, client) end
    redis.call('HSET', members, client, member)
    redis.call('HINCRBY', users, user, 1)
  end
  redis.call('ZADD', present, now + tonumber(ARGV[5]), client)
  if not renewed[digest] then
    renewed[digest] = true
    for _, key in ipairs({members, present, users}) do
      redis.call('EXPIRE', key, math.ceil(tonumber(ARGV[5])) + EXPIRED_TTL)
    end
  end
end
