/* SPDX-License-Identifier: BSD-3-Clause */
/* What the server carries out at one go, in Lua: nobody else sees the middle of it. Values begin with a head of 24 bytes
 * (remote.h): 16 of a lock, or a multi-writer object's stamp (zero: nobody's), 8 of the last use. */
#include "plane/remote.h"

const char *const shoal_remote_scripts[SHOAL_SCRIPTS] = {
	/* Keys: the objects. Arguments: lock, prefix of lives, for each key 1 where it is to be made, a lock that counts as none.
	 * All or nothing: their values (nil: there is none), locked; or the number of a key that somebody else has, with its
	 * lock. Those who have ended have nothing. */
	[SHOAL_SCRIPT_TAKE] =
		"local lock, out, zero = ARGV[1], {}, string.rep('\\0', 16)\n"
		"for i = 1, #KEYS do\n"
		"  local v = redis.call('GET', KEYS[i])\n"
		"  if v then\n"
		"    local l = string.sub(v, 1, 16)\n"
		"    if l ~= zero and l ~= lock and l ~= ARGV[4] then\n"
		"      local o = string.sub(l, 1, 8)\n"
		"      if o == string.sub(lock, 1, 8) or redis.call('EXISTS', ARGV[2] .. o) == 1 then return l end\n"
		"    end\n"
		"  end\n"
		"  out[i] = v\n"
		"end\n"
		"for i = 1, #KEYS do\n"
		"  local v = out[i]\n"
		"  if v and #v > 24 then\n"
		"    redis.call('SETRANGE', KEYS[i], 0, lock)\n"
		"  else\n"
		"    if string.byte(ARGV[3], i) == 49 then redis.call('SET', KEYS[i], lock .. string.rep('\\0', 8))\n"
		"    elseif v then redis.call('DEL', KEYS[i]) end\n"
		"    out[i] = false\n"
		"  end\n"
		"end\n"
		"return out\n",
	/* Key: the object. Arguments: lock; the new value, or nothing: it ends. 1: done; 0: the lock is not there (any more). */
	[SHOAL_SCRIPT_PUT] =
		"local v = redis.call('GET', KEYS[1])\n"
		"if not v or string.sub(v, 1, 16) ~= ARGV[1] then return 0 end\n"
		"if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end\n"
		"return 1\n",
	/* Keys: a multi-writer object; the caller's lanes. Arguments: the stamp that it is expected to have, or nothing: there
	 * is none; the new value, with its stamp; lane and number. 1: done, now or earlier; else the value that it has
	 * (0: none). */
	[SHOAL_SCRIPT_APPLY] = "if redis.call('HGET', KEYS[2], ARGV[3]) == ARGV[4] then return 1 end\n"
			       "local v = redis.call('GET', KEYS[1])\n"
			       "if (v and string.sub(v, 1, 16) or '') ~= ARGV[1] then return v or 0 end\n"
			       "redis.call('SET', KEYS[1], ARGV[2])\n"
			       "redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])\n"
			       "return 1\n",
	/* Keys: this worker's life; who looks for idle objects; the worker's lanes. Arguments: milliseconds that the life lasts,
	 * owner. Whether the life had not ended; whether this worker is to look; the time in microseconds. */
	[SHOAL_SCRIPT_BEAT] = "local was = redis.call('EXISTS', KEYS[1])\n"
			      "redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])\n"
			      "redis.call('PEXPIRE', KEYS[3], 3600000)\n"
			      "local who, look = redis.call('GET', KEYS[2]), 0\n"
			      "if not who or who == ARGV[2] then\n"
			      "  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])\n"
			      "  look = 1\n"
			      "end\n"
			      "local t = redis.call('TIME')\n"
			      "return {was, look, t[1] * 1000000 + t[2]}\n",
};
