-- Publications that are kept. ARGV: digest, offset (empty: none), epoch (empty: any), limit (-1: none), 1 for reverse.
-- Returns epoch and offset of the top, and packed: offset, data, info of each publication after (before) that position.
local c = load(ARGV[5])
local since, limit, backwards = tonumber(ARGV[6]), tonumber(ARGV[8]), ARGV[9] == '1'
ask(c)
measure(c)
if trim(c, c.length, 0, math.huge) then save_numbers(c) end
local from, to = since and not backwards and since + 1 or 1, since and backwards and since - 1 or c.offset
local values = {}
if c.length > 0 and limit ~= 0 and from <= to and (ARGV[7] == '' or ARGV[7] == c.epoch) then
  local command, first, second = 'XRANGE', id_of(from), id_of(to)
  if backwards then command, first, second = 'XREVRANGE', second, first end
  local entries
  if limit < 0 then
    entries = redis.call(command, c.stream, first, second)
  else
    entries = redis.call(command, c.stream, first, second, 'COUNT', limit)
  end
  for _, entry in ipairs(entries) do
    values[#values + 1] = string.sub(entry[1], 1, -3)
    values[#values + 1] = entry[2][2]
    values[#values + 1] = entry[2][6]
  end
end
local packed = pack(values)
return {c.epoch, c.offset, packed[1], packed[2]}
