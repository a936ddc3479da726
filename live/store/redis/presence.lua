-- Stands between channel.lua and the scripts on presence. Of a channel there are :members (hash: client -> length of
-- the user, colon, user, info), :present (sorted set: clients by the time until which they are) and :users (hash:
-- user -> number of clients).
local EXPIRED_TTL = 600  -- seconds that members past their time are kept for somebody to find

local function kinds(digest)
  local base = PREFIX .. digest
  return base .. ':members', base .. ':present', base .. ':users'
end

local function split(member)
  local length, rest = string.match(member, '^(%d+):(.*)$')
  return string.sub(rest, 1, length), string.sub(rest, length + 1)
end

-- Removes a client; its user and info if it was there.
local function remove(digest, client)
  local members, present, users = kinds(digest)
  local member = redis.call('HGET', members, client)
  redis.call('ZREM', present, client)
  if not member then return nil end
  redis.call('HDEL', members, client)
  local user, info = split(member)
  if redis.call('HINCRBY', users, user, -1) <= 0 then redis.call('HDEL', users, user) end
  return user, info
end
