"""What Redis does in one step for shared counters: the scripts CLAIM, SETTLE, RENEW and BALANCE.

Below the prefix, all on one node:

    epoch        who wrote first since Redis was empty: another one means that all was lost
    groups       sorted set: each process' holds of one ttl, by the ms at which they lapse
    h:GROUP      hash: hold → what it has taken, "ACCOUNT AMOUNT MS;" for each account
    l:GROUP      the same for holds that lapsed, for a day: their processes may not be dead at all
    a:ACCOUNT    hash: h → held, s → ms at which it was seeded, BUCKET → what was settled in it
    t:GROUP:HOLD a claim that was given up before Redis got to it
    d:GROUP:HOLD a settled hold from before all was lost

Times are Redis' own, so that clocks of processes do not matter. Numbers stay below 2^53.
"""

from __future__ import annotations

SEPARATOR = ";"
"""Between the parts of an answer: its head, then "USED HELD BUCKET" for each account."""

_PRELUDE = """
local groups, prefix = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function text(number) return string.format('%.0f', number) end

local function epoch_of(candidate)
  local epoch = redis.call('GET', prefix .. 'epoch')
  if not epoch then
    epoch = candidate
    redis.call('SET', prefix .. 'epoch', epoch)
  end
  return epoch
end

local function rest(account, over)
  local held = redis.call('HGET', account, 'h')
  if not held or held == '0' then redis.call('PEXPIRE', account, over) end
end

local function give_back(taken)
  for name, amount, over in string.gmatch(taken, '(%x+) (%d+) (%d+);') do
    local account = prefix .. 'a:' .. name
    if amount ~= '0' then redis.call('HINCRBY', account, 'h', '-' .. amount) end
    rest(account, over)
  end
end

local function lapse()
  local room = 2000
  while room > 0 do
    local dead = redis.call('ZRANGEBYSCORE', groups, '-inf', text(now), 'LIMIT', 0, 1)[1]
    if not dead then return end
    local holds, lapsed = prefix .. 'h:' .. dead, prefix .. 'l:' .. dead
    local found = redis.call('HGETALL', holds)
    for i = 1, #found, 2 do
      give_back(found[i + 1])
      redis.call('HSET', lapsed, found[i], found[i + 1])
    end
    if #found > 0 then redis.call('PEXPIRE', lapsed, 86400000) end
    redis.call('DEL', holds)
    redis.call('ZREM', groups, dead)
    room = room - 1 - #found
  end
end

local function look(name, bucket, span)
  bucket, span = tonumber(bucket), tonumber(span)
  local all = redis.call('HGETALL', prefix .. 'a:' .. name)
  local seen = {known = #all > 0, held = 0, used = 0, settled = {}}
  for i = 1, #all, 2 do
    if all[i] == 'h' then
      seen.held = tonumber(all[i + 1])
    elseif all[i] ~= 's' then
      local at, amount = tonumber(all[i]), tonumber(all[i + 1])
      if at > bucket - span and at <= bucket + span and amount > 0 then
        seen.used = seen.used + amount
        seen.settled[#seen.settled + 1] = {at, amount}
      end
    end
  end
  return seen
end

local function told(seen, amount, limit)
  local excess, gone, frees = 1, 0, '-'
  if limit ~= '' then excess = math.max(1, seen.used + seen.held + amount - limit) end
  table.sort(seen.settled, function(one, other) return one[1] < other[1] end)
  for _, pair in ipairs(seen.settled) do
    gone = gone + pair[2]
    if gone >= excess then
      frees = text(pair[1])
      break
    end
  end
  return text(seen.used) .. ' ' .. text(seen.held) .. ' ' .. frees
end
"""

# prefix, group, hold, ttl in ms, age of the seeds in ms; then for each claim: account, amount,
# limit or "", bucket, span, ms until it is idle, and what was used already: "" nobody says,
# "?" it can be asked for.
# "ok EPOCH;…", "ask NUMBERS", "full NUMBER;…" or "gone", numbers counting from 0.
CLAIM = (
    _PRELUDE
    + """
local group, hold, ttl, age = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
redis.call('ZADD', groups, text(now + ttl), group)
lapse()
local place = group .. ':' .. hold
if redis.call('EXISTS', prefix .. 't:' .. place) == 1 then return 'gone' end
local epoch = epoch_of(place .. '@' .. text(now))
local again = redis.call('HEXISTS', prefix .. 'h:' .. group, hold) == 1

local seen, unknown = {}, ''
for i = 6, #ARGV, 7 do
  seen[i] = look(ARGV[i], ARGV[i + 3], ARGV[i + 4])
  if not seen[i].known and ARGV[i + 6] == '?' then unknown = unknown .. ' ' .. (i - 6) / 7 end
end
if unknown ~= '' and not again then return 'ask' .. unknown end

for i = 6, #ARGV, 7 do
  local seed = ARGV[i + 6]
  if not seen[i].known and seed ~= '' and seed ~= '?' then
    local account = prefix .. 'a:' .. ARGV[i]
    redis.call('HSET', account, 's', text(now - age), ARGV[i + 3], seed)
    redis.call('PEXPIRE', account, ARGV[i + 5])
    seen[i] = look(ARGV[i], ARGV[i + 3], ARGV[i + 4])
  end
end

if not again then
  for i = 6, #ARGV, 7 do
    local limit, amount = ARGV[i + 2], tonumber(ARGV[i + 1])
    if limit ~= '' and seen[i].used + seen[i].held + amount > tonumber(limit) then
      return 'full ' .. (i - 6) / 7 .. ';' .. told(seen[i], amount, limit)
    end
  end
  local taken = ''
  for i = 6, #ARGV, 7 do
    local account = prefix .. 'a:' .. ARGV[i]
    seen[i].held = redis.call('HINCRBY', account, 'h', ARGV[i + 1])
    redis.call('PERSIST', account)
    taken = taken .. ARGV[i] .. ' ' .. ARGV[i + 1] .. ' ' .. ARGV[i + 5] .. ';'
  end
  redis.call('HSET', prefix .. 'h:' .. group, hold, taken)
end
local answer = 'ok ' .. epoch
for i = 6, #ARGV, 7 do answer = answer .. ';' .. told(seen[i], 0, ARGV[i + 2]) end
return answer
"""
)

# prefix, group, hold, epoch of the claim or "" where nobody knows whether it was made, ms since
# this was first tried; then for each account: its name, what was used, limit or "", bucket, span,
# ms until it is idle, "1" where it has a seed.
# "ok EPOCH;…"
SETTLE = (
    _PRELUDE
    + """
local group, hold, before, age = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local place = group .. ':' .. hold
local epoch = epoch_of(place .. '@' .. text(now))
local counts, late = true, false
local taken = redis.call('HGET', prefix .. 'h:' .. group, hold)
if taken then
  redis.call('HDEL', prefix .. 'h:' .. group, hold)
elseif redis.call('HDEL', prefix .. 'l:' .. group, hold) == 1 then
  late = true
elseif before == '' then
  redis.call('SET', prefix .. 't:' .. place, '', 'PX', 600000)
  counts = false
elseif before ~= epoch then
  late = true
  counts = redis.call('SET', prefix .. 'd:' .. place, '', 'NX', 'PX', 86400000) ~= false
else
  counts = false
end

local function is_seeded_since(account, has_seed)
  if not late or has_seed == '' then return false end
  if redis.call('EXISTS', account) == 0 then return true end
  local at = redis.call('HGET', account, 's')
  return at and now - age <= tonumber(at)
end

local function forget_old(account, bucket, span)
  if redis.call('HLEN', account) <= 2 * span + 6 then return end
  for _, field in ipairs(redis.call('HKEYS', account)) do
    local at = tonumber(field)
    if at and at <= bucket - 2 * span then redis.call('HDEL', account, field) end
  end
end

for i = 6, #ARGV, 7 do
  local account, amount, span = prefix .. 'a:' .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 4])
  if counts and amount ~= '0' and span > 0 and not is_seeded_since(account, ARGV[i + 6]) then
    redis.call('HINCRBY', account, ARGV[i + 3], amount)
    forget_old(account, tonumber(ARGV[i + 3]), span)
    rest(account, ARGV[i + 5])
  end
end
if taken then give_back(taken) end
local answer = 'ok ' .. epoch
for i = 6, #ARGV, 7 do
  answer = answer .. ';' .. told(look(ARGV[i], ARGV[i + 3], ARGV[i + 4]), 0, ARGV[i + 2])
end
return answer
"""
)

# prefix, a new epoch should there be none; then for each group: its name, ttl in ms. "ok EPOCH"
RENEW = (
    _PRELUDE
    + """
for i = 3, #ARGV, 2 do
  if redis.call('EXISTS', prefix .. 'h:' .. ARGV[i]) == 1 then
    redis.call('ZADD', groups, text(now + ARGV[i + 1]), ARGV[i])
  end
end
lapse()
return 'ok ' .. epoch_of(ARGV[2])
"""
)

# prefix, account, limit or "", bucket, span. "ok;…"
BALANCE = (
    _PRELUDE
    + """
lapse()
return 'ok;' .. told(look(ARGV[2], ARGV[4], ARGV[5]), 0, ARGV[3])
"""
)
