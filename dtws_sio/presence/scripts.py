"""
What Redis runs, each script as one step that nothing comes between.

Keys, all behind one prefix; namespaces, rooms, members' keys and infos stand in them as JSON, which holds no line feed:

    leases                      sorted set: process -> the millisecond, by Redis's clock, at which its lease runs out
    dead                        set: processes whose seats are being cleared
    process:<process>           set: "<sid>\\n<namespace>\\n<room>" of each seat that it holds
    sids:<namespace>\\n<room>    hash: sid -> "<process> <member's key>"
    members:<namespace>\\n<room> hash: member's key -> "<arrival> <seats> <info>"
    namespaces:<room>           set: the namespaces that have somebody in a room of that name
    store                       hash: "epoch" names this life of the data, "arrivals" counts

The last process to go leaves no key behind. A process is one lease: who lost a lease comes back as another process, so
that whoever clears the old one's seats and the new one cannot harm each other.

`KEYS[1]` is the prefix. Scripts reach keys that they do not declare, so a Redis Cluster cannot run them; nor can it be
a message queue of python-socketio. Redis 5 or later.
"""

from __future__ import annotations

from typing import Final

_PRELUDE: Final = """
local prefix = KEYS[1]
local leases, dead, store = prefix .. 'leases', prefix .. 'dead', prefix .. 'store'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function alive()
  return redis.call('ZRANGEBYSCORE', leases, '(' .. string.format('%.0f', now()), '+inf')
end

local function keys(sid, namespace, room)
  local roll = namespace .. '\\n' .. room
  return prefix .. 'sids:' .. roll, prefix .. 'members:' .. roll, sid .. '\\n' .. roll
end

-- Free a seat; give the change if it was its member's last.
local function free(sid, namespace, room)
  local sids, members, seat = keys(sid, namespace, room)
  local owner, who = string.match(redis.call('HGET', sids, sid) or '', '^(%S+) (.*)$')
  if not owner then return nil end
  redis.call('HDEL', sids, sid)
  redis.call('SREM', prefix .. 'process:' .. owner, seat)
  local arrival, seats, info = string.match(redis.call('HGET', members, who), '^(%d+) (%d+) (.*)$')
  if tonumber(seats) > 1 then
    redis.call('HSET', members, who, arrival .. ' ' .. (seats - 1) .. ' ' .. info)
    return nil
  end
  redis.call('HDEL', members, who)
  if redis.call('EXISTS', members) == 0 then redis.call('SREM', prefix .. 'namespaces:' .. room, namespace) end
  return {'presence_left', sid, namespace, room, who, info}
end
"""

KEEP: Final = (
    _PRELUDE
    + """
-- Keep the lease of process ARGV[1], or take a new one as ARGV[2], for ARGV[3] milliseconds.
-- Gives what became of the lease ('kept', 'late', or 'lost') and the epoch.
local deadline = redis.call('ZSCORE', leases, ARGV[1])
local moment = now()
redis.call('ZADD', leases, string.format('%.0f', moment + ARGV[3]), deadline and ARGV[1] or ARGV[2])
redis.call('HSETNX', store, 'epoch', ARGV[2])
local standing = not deadline and 'lost' or tonumber(deadline) > moment and 'kept' or 'late'
return {standing, redis.call('HGET', store, 'epoch')}
"""
)

NOTE: Final = (
    _PRELUDE
    + """
-- Note seats of process ARGV[1], five arguments each: sid, namespace, room, and who takes it with which info; '' for
-- nobody. Gives the changes, or nothing if the process has no lease.
if not redis.call('ZSCORE', leases, ARGV[1]) then return false end
local process, changes = ARGV[1], {}

local function take(sid, namespace, room, who, info)
  local sids, members, seat = keys(sid, namespace, room)
  local owner, present = string.match(redis.call('HGET', sids, sid) or '', '^(%S+) (.*)$')
  if owner and present ~= who then
    table.insert(changes, free(sid, namespace, room))
    owner = nil
  elseif owner and owner ~= process then
    redis.call('SREM', prefix .. 'process:' .. owner, seat)
  end
  redis.call('HSET', sids, sid, process .. ' ' .. who)
  redis.call('SADD', prefix .. 'process:' .. process, seat)
  local arrival, seats = string.match(redis.call('HGET', members, who) or '', '^(%d+) (%d+) ')
  if arrival then
    redis.call('HSET', members, who, arrival .. ' ' .. (owner and seats or seats + 1) .. ' ' .. info)
  else
    arrival = redis.call('HINCRBY', store, 'arrivals', 1)
    redis.call('HSET', members, who, arrival .. ' 1 ' .. info)
    redis.call('SADD', prefix .. 'namespaces:' .. room, namespace)
    table.insert(changes, {'presence_joined', sid, namespace, room, who, info})
  end
end

for i = 2, #ARGV, 5 do
  if ARGV[i + 3] == '' then
    table.insert(changes, free(ARGV[i], ARGV[i + 1], ARGV[i + 2]))
  else
    take(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  end
end
return changes
"""
)

CLEAR: Final = (
    _PRELUDE
    + """
-- Clear up to ARGV[1] seats of processes whose lease ran out, and of process ARGV[2], which ends, if it is given.
-- Gives the changes, and how many of those processes are left to be cleared.
local over = redis.call('ZRANGEBYSCORE', leases, '-inf', string.format('%.0f', now()))
if ARGV[2] and redis.call('ZSCORE', leases, ARGV[2]) then table.insert(over, ARGV[2]) end
for _, process in ipairs(over) do
  redis.call('ZREM', leases, process)
  redis.call('SADD', dead, process)
end
local changes, room_left = {}, tonumber(ARGV[1])
for _, process in ipairs(redis.call('SMEMBERS', dead)) do
  local seats = redis.call('SPOP', prefix .. 'process:' .. process, room_left)
  for _, seat in ipairs(seats) do
    local sid, namespace, room = string.match(seat, '^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)$')
    table.insert(changes, free(sid, namespace, room))
  end
  room_left = room_left - #seats
  if room_left == 0 then break end
  redis.call('SREM', dead, process)
end
local left = redis.call('SCARD', dead)
if left == 0 and redis.call('EXISTS', leases) == 0 then redis.call('DEL', store) end
return {changes, left}
"""
)

READ: Final = (
    _PRELUDE
    + """
-- Give the processes that live, and who is in room ARGV[2] of namespace ARGV[1]: its sids and its members.
local sids, members = keys('', ARGV[1], ARGV[2])
return {alive(), redis.call('HGETALL', sids), redis.call('HGETALL', members)}
"""
)

SEATS: Final = (
    _PRELUDE
    + """
-- Give the processes that live, and the sids in room ARGV[1] of each namespace that has somebody there.
local found = {}
for _, namespace in ipairs(redis.call('SMEMBERS', prefix .. 'namespaces:' .. ARGV[1])) do
  local sids = keys('', namespace, ARGV[1])
  table.insert(found, {namespace, redis.call('HGETALL', sids)})
end
return {alive(), found}
"""
)

ALL: Final = (KEEP, NOTE, CLEAR, READ, SEATS)
