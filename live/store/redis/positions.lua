-- The top positions of channels. ARGV: their digests. Returns a text: epoch and offset of each.
local out = {}
for i = 5, #ARGV do
  local c = load(ARGV[i])
  ask(c)
  out[#out + 1] = c.epoch .. ' ' .. string.format('%.0f', c.offset)
end
return table.concat(out, ' ')
