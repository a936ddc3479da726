-- Stands before every other script. ARGV: prefix of the keys, seconds an idle channel is kept (longer where its history
-- lasts longer), seconds to add to Redis' clock, a name for the epoch of a channel that is born.
--
-- Of a channel there are <prefix><digest>:state (hash: epoch, name, last, schema, numbers, rate), :stream (history; ids
-- are <offset>-0, and the offsets in it are a run that ends at the top) and :keys (hash: idempotency key -> offset).
-- <prefix>active is a sorted set of the digests of the channels something was published to, by the time of it.
local PREFIX, TTL, EPOCH = ARGV[1], tonumber(ARGV[2]), ARGV[4]
local ACTIVE = PREFIX .. 'active'
local ASKED_TTL = 600  -- seconds; of the epoch of a channel that was asked for and nothing was published to
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000 + tonumber(ARGV[3])
local births = 0

local function forget(digest)
  local base = PREFIX .. digest
  redis.call('DEL', base .. ':state', base .. ':stream', base .. ':keys')
  redis.call('ZREM', ACTIVE, digest)
end

-- As one text they are read and written at a third of the cost.
local NUMBERS = '>dddddddd'
local function save_numbers(c)
  redis.call('HSET', c.state, 'numbers', struct.pack(NUMBERS, c.touched, c.offset, c.key_offset, c.key_time,
    c.since_key, c.bytes, c.history_ttl, c.second))
end

-- What is known of a channel, or a new one; `touched` is nil until something was published.
local function load(digest)
  local base = PREFIX .. digest
  local c = {state = base .. ':state', stream = base .. ':stream', keys = base .. ':keys'}
  local f = redis.call('HMGET', c.state, 'epoch', 'numbers', 'rate', 'schema')
  if f[2] then
    c.touched, c.offset, c.key_offset, c.key_time, c.since_key, c.bytes, c.history_ttl, c.second =
      struct.unpack(NUMBERS, f[2])
    if c.touched + math.max(TTL, c.history_ttl) <= now then
      forget(digest)
      f, c.touched = {}, nil
    elseif c.touched + TTL <= now then
      redis.call('HDEL', c.state, 'last')
    end
  end
  c.epoch = f[1]
  if not c.epoch then
    births = births + 1
    c.epoch, c.new = EPOCH .. births, true
  end
  if not c.touched then
    c.offset, c.key_offset, c.key_time, c.since_key, c.bytes, c.history_ttl, c.second = 0, 0, 0, 0, 0, 0, 0
  end
  c.rate, c.schema = f[3], f[4] or false
  return c
end

-- The position of a channel that has none yet stays the same while somebody asks for it.
local function ask(c)
  if c.new then redis.call('HSET', c.state, 'epoch', c.epoch) end
  if not c.touched then redis.call('EXPIRE', c.state, ASKED_TTL) end
end

local function holds_key(c)
  return c.length > 0 and c.offset - c.length < c.key_offset
end

local function id_of(offset)
  return string.format('%.0f-0', offset)
end

-- Finds the length of the history.
local function measure(c)
  c.length = c.offset > 0 and redis.call('XLEN', c.stream) or 0
  if c.length == 0 then c.bytes = 0 end
end

-- Drops the oldest entries: those over `most` in number, those that leave no room for `size` bytes among `limit`, those
-- past their time; and all of them when no key frame is left to start reading at. When it returns true it dropped some,
-- and whoever called it saves the numbers.
local function trim(c, most, size, limit)
  local length = c.length
  while c.length > 0 do
    local id = id_of(c.offset - c.length + 1)
    local entry = redis.call('XRANGE', c.stream, id, id)[1]
    if entry then
      local f = entry[2]
      if c.length <= most and c.bytes + size <= limit and f[4] / 1000 + c.history_ttl > now then break end
      c.bytes = c.bytes - #f[2]
      if f[8] ~= '' then redis.call('HDEL', c.keys, f[8]) end
    end
    c.length = c.length - 1
  end
  if not holds_key(c) then
    if length > 0 then redis.call('DEL', c.stream, c.keys) end
    c.length, c.bytes = 0, 0
  elseif c.length < length then
    redis.call('XTRIM', c.stream, 'MAXLEN', c.length)
  end
  return c.length < length
end

-- One text of lengths and one of everything joined: far cheaper for the client to read than many small replies.
local function pack(values)
  local lengths = {}
  for i, value in ipairs(values) do lengths[i] = #value end
  return {table.concat(lengths, ' '), table.concat(values)}
end
