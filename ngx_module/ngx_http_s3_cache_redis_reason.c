/* SPDX-License-Identifier: Apache-2.0
 *
 * What may go wrong with Redis, in words that say what to do about it.
 */

#include "ngx_http_s3_cache_redis_internal.h"


#define FIRST  NGX_HTTP_S3_CACHE_REDIS_ERRORS

#define AWAY   S3C_STAT_REDIS_AWAY
#define DENIED S3C_STAT_REDIS_DENIED
#define WRONG  S3C_STAT_REDIS_WRONG
#define NAME   S3C_STAT_REDIS_NAME


typedef struct {
    const char                 *text;
    s3c_stat_t                  stat;
} ngx_http_s3_cache_redis_why_t;


/* In the order of the reasons. */

static const ngx_http_s3_cache_redis_why_t  ngx_http_s3_cache_redis_why[] = {
    { "cannot be connected", AWAY },
    { "cannot be connected in time", AWAY },
    { "does not get through the handshake of TLS: see its certificate, and "
      "\"ssl_trusted_certificate\" and \"ssl_name\"", AWAY },
    { "closed the connection", AWAY },
    { "does not answer in time", AWAY },
    { "cannot be asked for lack of memory", AWAY },
    { "does not answer as Redis would", WRONG },
    { "has an answer that is too long", WRONG },
    { "says what nobody asked for", WRONG },
    { "has more than 1024 members: their list is refused", WRONG },
    { "has no member whose value is right: the list is refused", WRONG },
    { "does not know the \"master\"", DENIED },
    { "names a server that is no numeric address", WRONG },
    { "cannot be told what this node is: its address is not a usable one",
      WRONG },
    { "has a lease of this node's name at another address", NAME },
};


/* What an error begins with or holds; the last fits all. */

static const struct {
    const char                 *words;
    ngx_http_s3_cache_redis_why_t  why;
}  ngx_http_s3_cache_redis_errors[] = {
    { "NOAUTH", { "wants a \"password\"", DENIED } },
    { "unauthenticated", { "wants a \"password\"", DENIED } },
    { "WRONGPASS", { "does not accept the \"username\" and \"password\"",
                     DENIED } },
    { "invalid password", { "does not accept the \"password\"", DENIED } },
    { "no password is set", { "has no password, but one is configured here",
                              DENIED } },
    { "without any password configured", { "has no password, but one is "
                              "configured here", DENIED } },
    { "NOPERM", { "does not permit its user what is needed (ACL)", DENIED } },
    { "READONLY", { "is a replica that cannot be written", DENIED } },
    { "LOADING", { "is still loading its data", DENIED } },
    { "WRONGTYPE", { "has something else under the names of our keys: "
                     "delete these or use another \"prefix\"", DENIED } },
    { "BUSY ", { "is busy with a script", DENIED } },
    { "OOM ", { "has no memory left (maxmemory)", DENIED } },
    { "MISCONF", { "refuses to be written because it cannot save", DENIED } },
    { "NOREPLICAS", { "refuses to be written without its replicas", DENIED } },
    { "MASTERDOWN", { "is a replica without its master", DENIED } },
    { "CLUSTERDOWN", { "is of a cluster that is down", DENIED } },
    { "MOVED", { "says that another server of its cluster has our keys",
                 DENIED } },
    { "max number of clients", { "has too many clients", DENIED } },
    { "DENIED", { "is in protected mode: it wants a \"password\"", DENIED } },
    { "DB index", { "has no such \"database\"", DENIED } },
    { "unknown command", { "does not know a command that is needed",
                           DENIED } },
    { "wrong number of arguments for 'auth'",
      { "is too old for a \"username\"", DENIED } },
    { "", { "answers with an error", DENIED } },
};


#define KNOWN  (sizeof(ngx_http_s3_cache_redis_errors)                        \
                / sizeof(ngx_http_s3_cache_redis_errors[0]))

static_assert(sizeof(ngx_http_s3_cache_redis_why)
              / sizeof(ngx_http_s3_cache_redis_why[0]) == FIRST, "reasons");
static_assert(FIRST + KNOWN <= 64, "a bit for each, in keeper->told");


ngx_uint_t
ngx_http_s3_cache_redis_reason(redisReply *reply)
{
    ngx_uint_t  i;

    for (i = 0; i < KNOWN - 1; i++) {

        /* scripts have errors within theirs; hiredis puts a NUL behind */

        if (ngx_strstr(reply->str, ngx_http_s3_cache_redis_errors[i].words)) {
            break;
        }
    }

    return FIRST + i;
}


static const ngx_http_s3_cache_redis_why_t *
ngx_http_s3_cache_redis_reason_row(ngx_uint_t reason)
{
    return (reason < FIRST)
           ? &ngx_http_s3_cache_redis_why[reason]
           : &ngx_http_s3_cache_redis_errors[reason - FIRST].why;
}


const char *
ngx_http_s3_cache_redis_reason_text(ngx_uint_t reason)
{
    return ngx_http_s3_cache_redis_reason_row(reason)->text;
}


s3c_stat_t
ngx_http_s3_cache_redis_reason_stat(ngx_uint_t reason)
{
    return ngx_http_s3_cache_redis_reason_row(reason)->stat;
}
