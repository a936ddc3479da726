-- What a new subscriber starts from. ARGV: digest, 1 where there is history, 1 where the last value is wanted.
-- Returns epoch, offset, last value.
local c = load(ARGV[5])
if ARGV[6] == '1' then ask(c) end
return {c.epoch, c.offset, c.touched and ARGV[7] == '1' and redis.call('HGET', c.state, 'last') or false}
