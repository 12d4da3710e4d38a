/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies are hashed as they come; nothing of them is kept.
 */
#include "ctl/ctl_compare.h"

#include "base/writer.h"
#include "ctl/ctl_text.h"

typedef struct {
    s3c_sha_t  sha;
    uint64_t   size;
    bool       failed;
} compare_take_t;


static bool
compare_take(void *data, s3c_slice_t part)
{
    compare_take_t  *take = data;

    take->size += part.len;
    take->failed |= s3c_sha_add(&take->sha, part) != S3C_OK;

    return !take->failed;
}


/* Has an S3 answered, and not whatever else listens there? A 404 of S3 has a
 * document, an object has an ETag; whatever this gateway says has an id. */
static bool
compare_is_s3(const ctl_answer_t *answer)
{
    if (answer->has_request_id) {
        return true;
    }

    if (answer->status == 404) {
        /* NUL is behind it */
        return answer->body != NULL
               && strstr((const char *) answer->body, "<Error") != NULL;
    }

    return answer->status != 200 || answer->etag[0] != '\0';
}


static ctl_exit_t
compare_get(ctl_t *ctl, const ctl_endpoint_t *at, const ctl_keys_t *keys,
    const ctl_target_t *target, ctl_side_t *side)
{
    ctl_ask_t       ask = { .method = "GET", .at = at, .keys = keys };
    uint8_t         path[CTL_BUCKET_MAX + CTL_KEY_MAX + 2];
    ctl_exit_t      end;
    ctl_answer_t    answer;
    s3c_writer_t    w;
    compare_take_t  take = { .size = 0 };

    s3c_writer_init(&w, path, sizeof(path));
    s3c_write_byte(&w, '/');
    s3c_write_slice(&w, target->bucket);
    s3c_write_byte(&w, '/');
    s3c_write_slice(&w, target->key);

    memset(side, 0, sizeof(*side));

    if (s3c_sha256_init(&take.sha) != S3C_OK) {
        return ctl_fail(ctl, CTL_LOCAL, "SHA-256 is not to be had");
    }

    ask.path = s3c_writer_slice(&w);
    ask.take = compare_take;
    ask.data = &take;

    end = ctl_http_ask(ctl, &ask, &answer);

    if (end == CTL_OK) {
        side->status = answer.status;
        side->there = answer.status == 200;
        side->s3 = compare_is_s3(&answer);
        side->size = take.size;
        memcpy(side->etag, answer.etag, sizeof(side->etag));
        memcpy(side->x_cache, answer.x_cache, sizeof(side->x_cache));

        if (s3c_sha_end(&take.sha, side->sha) != S3C_OK) {
            end = ctl_fail(ctl, CTL_LOCAL, "SHA-256 is not to be had");
        }

        ctl_answer_fini(&answer);
    }

    s3c_sha_fini(&take.sha);

    return end;
}


const char *
ctl_compare(const ctl_side_t *cache, const ctl_side_t *store)
{
    if (cache->there != store->there) {
        return cache->there ? "the store has no such object"
                            : "the cache knows no such object";
    }

    if (!cache->there) {
        return NULL;
    }

    if (strcmp(cache->etag, store->etag) != 0) {
        return "another version";
    }

    if (cache->size != store->size) {
        return "another length of the same version";
    }

    return memcmp(cache->sha, store->sha, sizeof(cache->sha)) != 0
           ? "other bytes of the same version" : NULL;
}


json_t *
ctl_side_json(const ctl_side_t *side)
{
    char          hex[2 * S3C_DIGEST_SHA256_BYTES + 1];
    json_t       *json;
    s3c_writer_t  w;

    s3c_writer_init(&w, hex, sizeof(hex) - 1);
    s3c_write_hex(&w, side->sha, sizeof(side->sha));
    *w.pos = '\0';

    json = json_pack("{s:i}", "status", (int) side->status);

    if (side->there) {
        /* an ETag that is no UTF-8 is left out */
        (void) json_object_set_new(json, "etag", json_string(side->etag));
        (void) json_object_set_new(json, "size",
                                   json_integer((json_int_t) side->size));
        (void) json_object_set_new(json, "sha256", json_string(hex));
    }

    return json;
}


void
ctl_side_put(const char *who, const ctl_side_t *side)
{
    (void) printf("  %s ", who);

    if (!side->there) {
        (void) printf("%ld\n", side->status);
        return;
    }

    ctl_text_put(stdout, s3c_slice(side->etag, strlen(side->etag)));
    (void) printf(" %s bytes, SHA-256 ", ctl_count(side->size));

    for (size_t i = 0; i < 8; i++) {
        (void) printf("%02x", side->sha[i]);
    }

    (void) printf("...\n");
}


ctl_exit_t
ctl_compare_read(ctl_t *ctl, const ctl_target_t *target, ctl_side_t *cache,
    ctl_side_t *store)
{
    ctl_exit_t  end;

    end = compare_get(ctl, &ctl->conf.gateway, &ctl->conf.keys, target, cache);

    if (end == CTL_OK && !cache->s3) {
        end = ctl_fail(ctl, CTL_WRONG, "%s is no gateway: --gateway",
                       ctl_endpoint_name(&ctl->conf.gateway));
    }

    if (end == CTL_OK && cache->status != 200 && cache->status != 404) {
        end = ctl_fail(ctl, CTL_REFUSED, "the gateway answers %ld",
                       cache->status);
    }

    if (end == CTL_OK) {
        end = compare_get(ctl, &ctl->conf.origin, &ctl->conf.origin_keys,
                          target, store);
    }

    if (end == CTL_OK && store->status != 200 && store->status != 404) {
        end = ctl_fail(ctl, CTL_REFUSED, "the store answers %ld",
                       store->status);
    }

    return end;
}


bool
ctl_side_is_passed(const ctl_side_t *cache)
{
    return strcmp(cache->x_cache, "MISS") == 0
           || strcmp(cache->x_cache, "BYPASS") == 0;
}
