-- What is known of channels. ARGV: their digests. Returns packed: the time, and of each channel that something was
-- published to: name, schema, time of the last publication, counts of the minute up to a second, and that second.
local values = {string.format('%.6f', now)}
for i = 5, #ARGV do
  local c = load(ARGV[i])
  local name = c.touched and redis.call('HGET', c.state, 'name')
  if name then
    for _, value in ipairs({name, c.schema or '', string.format('%.6f', c.touched), c.rate,
      string.format('%.0f', c.second)}) do
      values[#values + 1] = value
    end
  end
end
return pack(values)
