-- Clients are not present any more. ARGV: of each digest, client. Returns a text of 1 and 0: whether each was.
local out = {}
for i = 5, #ARGV, 2 do out[#out + 1] = remove(ARGV[i], ARGV[i + 1]) and '1' or '0' end
return table.concat(out)
