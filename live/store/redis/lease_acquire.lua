-- Gives a lease. ARGV: name, owner, seconds, note, seconds for which a wish counts. Returns its token and its note, or
-- nothing while another owner has it.
local key, owner, note = lease_key(ARGV[5]), ARGV[6], ARGV[8]
local its_owner, token = holder_of(key)
if not its_owner then
  -- From the clock, so that tokens go on growing even when Redis lost everything.
  local counter = PREFIX .. 'token'
  local last = tonumber(redis.call('GET', counter) or 0)
  token = string.format('%.0f', math.max(last + 1, math.floor(now * 1000000)))
  redis.call('SET', counter, token)
  -- Nothing stays of the former owner.
  redis.call('DEL', key)
  redis.call('HSET', key, 'owner', owner, 'token', token, 'note', note)
elseif its_owner ~= owner then
  redis.call('HSET', key, 'wanted', string.format('%.6f', now + tonumber(ARGV[9])))
  return false
else
  note = redis.call('HGET', key, 'note') or ''
end
lend(key, tonumber(ARGV[7]))
return {token, note}
