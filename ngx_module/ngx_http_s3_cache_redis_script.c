/* SPDX-License-Identifier: Apache-2.0
 *
 * The one command of the keeper: a script that does all at once and by Redis's
 * own clock, so that the clocks of nodes do not matter. Three keys, of one
 * slot of a Redis Cluster:
 *
 *   {prefix:zone}:leases   a sorted set: name -> when its lease ends, in ms
 *   {prefix:zone}:members  a hash: name -> what it says, see cluster/member.h
 *   {prefix:zone}:epoch    counts what has changed
 *
 * An answer is bounded whatever others write there: long names and values are
 * sent as empty ones, more than ARGV[6] members as their number alone.
 */

#include "ngx_http_s3_cache_redis_internal.h"

#include <ngx_sha1.h>


/* More than that ahead, a lease is none of ours: see LEASE's maximum. */
#define SCRIPT                                                                \
    "if redis.replicate_commands then redis.replicate_commands() end\n"       \
    "local name, value, lease, known, all, max, leave = unpack(ARGV)\n"       \
    "local t = redis.call('TIME')\n"                                          \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                     \
    "local stored = tonumber(redis.call('GET', KEYS[3]) or 0)\n"              \
    "if not stored or stored ~= math.floor(stored) or stored < 0\n"           \
    "   or stored > 4503599627370496 then stored = 0 end\n"                   \
    "known = tonumber(known)\n"                                               \
    "local changed = known > stored\n"                                        \
    "for _, range in ipairs({{'-inf', now}, {now + 7200000, '+inf'}}) do\n"   \
    "  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1],\n"          \
    "                        range[1], range[2], 'LIMIT', 0, 4096)) do\n"     \
    "    redis.call('ZREM', KEYS[1], dead)\n"                                 \
    "    redis.call('HDEL', KEYS[2], dead)\n"                                 \
    "    changed = true\n"                                                    \
    "  end\n"                                                                 \
    "end\n"                                                                   \
    "local function parts(v)\n"                                               \
    "  return string.match(v, '^s3c1 (%S+)'),\n"                              \
    "         string.match(v, ' id=(%x+)') or ''\n"                           \
    "end\n"                                                                   \
    "local old = redis.call('ZSCORE', KEYS[1], name)\n"                       \
    "            and redis.call('HGET', KEYS[2], name)\n"                     \
    "local word = old and 'kept' or 'new'\n"                                  \
    "if old then\n"                                                           \
    "  local their, theirid = parts(old)\n"                                   \
    "  local mine, myid = parts(value)\n"                                     \
    "  if their and theirid ~= myid then\n"                                   \
    "    if their ~= mine then word = 'other'\n"                              \
    "    elseif theirid > myid then word = 'older' end\n"                     \
    "  end\n"                                                                 \
    "end\n"                                                                   \
    "if leave == '1' then\n"                                                  \
    "  if word == 'kept' then\n"                                              \
    "    redis.call('ZREM', KEYS[1], name)\n"                                 \
    "    redis.call('HDEL', KEYS[2], name)\n"                                 \
    "    changed = true\n"                                                    \
    "  end\n"                                                                 \
    "elseif word == 'kept' or word == 'new' then\n"                           \
    "  redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), name)\n"\
    "  if old ~= value then\n"                                                \
    "    redis.call('HSET', KEYS[2], name, value)\n"                          \
    "    changed = true\n"                                                    \
    "  end\n"                                                                 \
    "end\n"                                                                   \
    "local epoch = math.max(stored, known)\n"                                 \
    "if changed then\n"                                                       \
    "  epoch = epoch + 1\n"                                                   \
    "  redis.call('SET', KEYS[3], string.format('%.0f', epoch))\n"            \
    "end\n"                                                                   \
    "local n = redis.call('ZCARD', KEYS[1])\n"                                \
    "local list = false\n"                                                    \
    "if (all == '1' or epoch ~= known) and n <= tonumber(max) then\n"         \
    "  list = {}\n"                                                           \
    "  local names = redis.call('ZRANGE', KEYS[1], 0, -1)\n"                  \
    "  for i = 1, #names, 500 do\n"                                           \
    "    local last = math.min(i + 499, #names)\n"                            \
    "    local values = redis.call('HMGET', KEYS[2],\n"                       \
    "                              unpack(names, i, last))\n"                 \
    "    for j = i, last do\n"                                                \
    "      local v = values[j - i + 1] or ''\n"                               \
    "      list[#list + 1] = #names[j] <= 255 and names[j] or ''\n"           \
    "      list[#list + 1] = #v <= 512 and v or ''\n"                         \
    "    end\n"                                                               \
    "  end\n"                                                                 \
    "end\n"                                                                   \
    "return {'s3c1', word, string.format('%.0f', epoch),\n"                   \
    "        string.format('%.0f', now), n, list,\n"                          \
    "        old and #old <= 512 and old or ''}\n"


static ngx_str_t  ngx_http_s3_cache_script = ngx_string(SCRIPT);
static u_char     ngx_http_s3_cache_script_sha[40];


ngx_int_t
ngx_http_s3_cache_redis_script_init(ngx_http_s3_cache_redis_t *redis,
    ngx_pool_t *pool)
{
    u_char      *p, digest[20];
    size_t       len;
    ngx_uint_t   i;
    ngx_sha1_t   sha;

    static ngx_str_t  ends[] = {
        ngx_string("leases"), ngx_string("members"), ngx_string("epoch")
    };

    ngx_sha1_init(&sha);
    ngx_sha1_update(&sha, ngx_http_s3_cache_script.data,
                    ngx_http_s3_cache_script.len);
    ngx_sha1_final(digest, &sha);

    (void) ngx_hex_dump(ngx_http_s3_cache_script_sha, digest, sizeof(digest));

    for (i = 0; i < 3; i++) {
        len = sizeof("{:}:") - 1 + redis->prefix.len + redis->name.len
              + ends[i].len;

        p = ngx_pnalloc(pool, len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        redis->keys[i].data = p;
        redis->keys[i].len = ngx_sprintf(p, "{%V:%V}:%V", &redis->prefix,
                                         &redis->name, &ends[i]) - p;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_s3_cache_redis_script(ngx_http_s3_cache_keeper_t *k,
    ngx_uint_t leave, ngx_uint_t all, ngx_str_t *argv)
{
    ngx_uint_t                  n, i;
    ngx_http_s3_cache_redis_t  *redis;

    static u_char  numbers[2][NGX_INT64_LEN], max[NGX_INT_T_LEN];

    redis = k->redis;
    n = 0;

    if (k->whole) {
        ngx_str_set(&argv[n], "EVAL");
        n++;
        argv[n++] = ngx_http_s3_cache_script;

    } else {
        ngx_str_set(&argv[n], "EVALSHA");
        n++;
        argv[n].data = ngx_http_s3_cache_script_sha;
        argv[n++].len = sizeof(ngx_http_s3_cache_script_sha);
    }

    ngx_str_set(&argv[n], "3");
    n++;

    for (i = 0; i < 3; i++) {
        argv[n++] = redis->keys[i];
    }

    argv[n++] = ((ngx_http_s3_cache_node_t *) k->peers->nodes.elts)->name;

    argv[n].data = k->value;
    argv[n++].len = k->value_len;

    argv[n].data = numbers[0];
    argv[n++].len = ngx_sprintf(numbers[0], "%M", redis->lease) - numbers[0];

    argv[n].data = numbers[1];
    argv[n++].len = ngx_sprintf(numbers[1], "%uL", k->epoch) - numbers[1];

    argv[n].data = (u_char *) (all ? "1" : "0");
    argv[n++].len = 1;

    argv[n].data = max;
    argv[n++].len = ngx_sprintf(max, "%ud", S3C_RING_MEMBERS_MAX) - max;

    argv[n].data = (u_char *) (leave ? "1" : "0");
    argv[n++].len = 1;

    return n;
}


static ngx_uint_t
ngx_http_s3_cache_redis_number(redisReply *reply, uint64_t max, uint64_t *n)
{
    size_t  i;

    if (reply->type != REDIS_REPLY_STRING || reply->len == 0
        || reply->len > 16)
    {
        return 0;
    }

    *n = 0;

    for (i = 0; i < (size_t) reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9') {
            return 0;
        }

        *n = *n * 10 + (reply->str[i] - '0');
    }

    return *n <= max;
}


static ngx_uint_t
ngx_http_s3_cache_redis_is(redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING
           && (size_t) reply->len == ngx_strlen(text)
           && ngx_memcmp(reply->str, text, reply->len) == 0;
}


ngx_int_t
ngx_http_s3_cache_redis_answer(ngx_http_s3_cache_keeper_t *k,
    redisReply *reply, ngx_http_s3_cache_redis_answer_t *answer)
{
    size_t        i;
    redisReply  **e, *list, *name, *value;

    static const char  *words[] = { "new", "kept", "older", "other" };

    ngx_memzero(answer, sizeof(ngx_http_s3_cache_redis_answer_t));

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 7) {
        return NGX_ERROR;
    }

    e = reply->element;

    for (i = 0; i < 4; i++) {
        if (ngx_http_s3_cache_redis_is(e[1], words[i])) {
            break;
        }
    }

    if (i == 4 || !ngx_http_s3_cache_redis_is(e[0], "s3c1")
        || !ngx_http_s3_cache_redis_number(e[2],
                                   NGX_HTTP_S3_CACHE_REDIS_EPOCH_MAX + 1,
                                   &answer->epoch)
        || !ngx_http_s3_cache_redis_number(e[3], UINT64_MAX, &answer->now_ms)
        || e[4]->type != REDIS_REPLY_INTEGER || e[4]->integer < 0
        || e[6]->type != REDIS_REPLY_STRING)
    {
        return NGX_ERROR;
    }

    answer->word = i;
    answer->members = e[4]->integer;
    answer->holder.data = (u_char *) e[6]->str;
    answer->holder.len = e[6]->len;

    list = e[5];

    if (list->type == REDIS_REPLY_NIL) {
        return NGX_OK;
    }

    if (list->type != REDIS_REPLY_ARRAY || list->elements % 2 != 0
        || list->elements / 2 != answer->members
        || answer->members > S3C_RING_MEMBERS_MAX)
    {
        return NGX_ERROR;
    }

    answer->n = list->elements / 2;
    answer->listed = 1;

    for (i = 0; i < answer->n; i++) {
        name = list->element[2 * i];
        value = list->element[2 * i + 1];

        if (name->type != REDIS_REPLY_STRING
            || value->type != REDIS_REPLY_STRING)
        {
            return NGX_ERROR;
        }

        k->items[i].name = s3c_slice(name->str, name->len);
        k->items[i].value = s3c_slice(value->str, value->len);
    }

    return NGX_OK;
}
