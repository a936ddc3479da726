-- Takes drafts in, in their order. ARGV: most channels, most bytes of history, name of the writer, number of its call;
-- then for each channel: digest, name, options, where to announce, number of drafts; below 0 when they count only while
-- a lease is held, of which name, owner and token follow; and for each draft: flags, data, and those of schema, short,
-- info and key that the flags say.
-- Returns a text: for each channel its epoch, and for each draft its offset after w (went out whole), s (short), d (was
-- there already) or l (the lease is lost, nothing was done).
local MAX_CHANNELS, MAX_BYTES, CALL = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8])
local SECONDS, SLOT = 60, 4

-- A writer that lost its connection does not know whether its call was done, and makes it again: the answer is kept.
-- What it gave up and went on from must not be done late.
local CALLS = PREFIX .. 'calls:' .. ARGV[7]
local kept = redis.call('GET', CALLS)
if kept then
  local call, answer = string.match(kept, '^(%d+) (.*)$')
  if tonumber(call) == CALL then return answer end
  if tonumber(call) > CALL then return redis.error_reply('STALE the writer went on') end
end

-- Counts events of the last 60 seconds, 4 bytes a second; the last of them are of `second`.
local function count(c, events)
  local second = math.floor(now)
  local rate, passed = c.rate, second - c.second
  if not rate or passed >= SECONDS then
    rate = string.rep('\0', SECONDS * SLOT)
  elseif passed > 0 then
    rate = string.sub(rate, passed * SLOT + 1) .. string.rep('\0', passed * SLOT)
  end
  if passed > 0 then c.second, c.renew = second, true end
  events = events + struct.unpack('>I4', rate, (SECONDS - 1) * SLOT + 1)
  c.rate = string.sub(rate, 1, -SLOT - 1) .. struct.pack('>I4', events)
end

local parsed = {}
local function parse(text)
  local o = parsed[text]
  if not o then
    local size, ttl, interval, last = string.match(text, '(%S+) (%S+) (%S+) (%S+)')
    o = {size = tonumber(size), ttl = tonumber(ttl), interval = tonumber(interval), last = last == '1'}
    o.history = o.size > 0 and o.ttl > 0
    -- Several key frames in a window, so that little is lost before the first.
    o.window = math.min(o.interval, math.max(1, math.floor(o.size / 2)))
    parsed[text] = o
  end
  return o
end

local function wants_key(c, o)
  if not o.history then return c.since_key + 1 >= o.interval end
  return c.since_key + 1 >= o.window or now - c.key_time >= o.ttl / 10 or not holds_key(c)
end

-- The offset of the publication in the history that was given this idempotency key.
local function find(c, key)
  if trim(c, c.length, 0, math.huge) and c.touched then save_numbers(c) end
  local offset = c.length > 0 and tonumber(redis.call('HGET', c.keys, key) or nil)
  return offset and offset > c.offset - c.length and offset
end

local function keep(c, data, info, key)
  -- Redis drops what is left alone for long; before that the times in it say what still counts.
  c.renew = c.renew or c.length == 0 or key ~= ''
  redis.call('XADD', c.stream, id_of(c.offset), 'data', data, 'time', string.format('%.0f', now * 1000),
    'info', info or '', 'key', key)
  if key ~= '' then redis.call('HSET', c.keys, key, c.offset) end
  c.length, c.bytes = c.length + 1, c.bytes + #data
end

local function save(c, name, schema, last)
  if not c.touched then
    redis.call('HSET', c.state, 'epoch', c.epoch, 'name', name)
    c.renew = true
  end
  c.touched = now
  save_numbers(c)
  redis.call('HSET', c.state, 'rate', c.rate)
  if last then redis.call('HSET', c.state, 'last', last) end
  if schema and schema ~= c.schema then redis.call('HSET', c.state, 'schema', schema) end
  if c.schema and not schema then redis.call('HDEL', c.state, 'schema') end
  if c.renew then
    -- Never before the stream: its offsets would begin anew below those in there.
    redis.call('EXPIRE', c.state, math.ceil(math.max(TTL, c.history_ttl)) + 60)
    redis.call('EXPIRE', c.stream, math.ceil(c.history_ttl) + 60)
    redis.call('EXPIRE', c.keys, math.ceil(c.history_ttl) + 60)
  end
end

local place = 8
local function take()
  place = place + 1
  return ARGV[place]
end

local out = {}
while ARGV[place + 1] do
  local digest, name, o, announce, drafts = take(), take(), parse(take()), take(), tonumber(take())
  local c = load(digest)
  -- Of a channel whose state Redis dropped (maxmemory), the rest belongs to a life that is over.
  if not c.touched then redis.call('DEL', c.stream, c.keys) end
  local schema, last, added, messages = c.schema, nil, 0, {}
  local lost = drafts < 0 and not is_held(lease_key(take()), take(), take())
  measure(c)
  out[#out + 1] = c.epoch
  for _ = 1, math.abs(drafts) do
    local flags, data = tonumber(take()), take()
    local its_schema = bit.band(flags, 1) > 0 and take()
    local short = bit.band(flags, 2) > 0 and take()
    local info = bit.band(flags, 4) > 0 and take()
    local key = bit.band(flags, 8) > 0 and take() or ''
    local there = not lost and o.history and key ~= '' and find(c, key)
    if lost then
      out[#out + 1] = 'l0'
    elseif there then
      out[#out + 1] = 'd' .. string.format('%.0f', there)
    else
      if o.history then
        c.history_ttl = o.ttl
        trim(c, o.size - 1, #data, MAX_BYTES)
      end
      local whole = not short or not its_schema or its_schema ~= schema or wants_key(c, o)
      local sent = whole and data or short
      schema, last, added = its_schema, o.last and data or last, added + 1
      if o.history then c.offset = c.offset + 1 end
      c.since_key = c.since_key + 1
      if whole then c.key_offset, c.key_time, c.since_key = c.offset, now, 0 end
      if o.history and #sent <= MAX_BYTES then keep(c, sent, info, key) end
      out[#out + 1] = (whole and 'w' or 's') .. string.format('%.0f', c.offset)
      if announce ~= '' then
        local message = {type = 'live.publication', channel = name, data = sent, info = info or nil}
        if o.history then message.offset, message.epoch = c.offset, c.epoch end
        messages[#messages + 1] = cmsgpack.pack(message)
      end
    end
  end
  if added > 0 then
    count(c, added)
    local born = not c.touched
    save(c, name, schema, last)
    redis.call('ZADD', ACTIVE, string.format('%.6f', now), digest)
    while born and redis.call('ZCARD', ACTIVE) > MAX_CHANNELS do
      forget(redis.call('ZRANGE', ACTIVE, 0, 0)[1])
    end
    -- After everything is kept: what was announced can be read.
    for _, message in ipairs(messages) do redis.call('PUBLISH', announce, message) end
  end
end

local answer = table.concat(out, ' ')
redis.call('SET', CALLS, string.format('%.0f ', CALL) .. answer, 'EX', 60)
return answer
