/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer of explain.c as JSON, valid whatever names and keys hold.
 */

#include "ngx_http_s3_cache_explain_internal.h"


#define HEAD_BYTES  16384
#define NODE_BYTES  12288         /* of a node, with all bytes escaped */


static void explain_print_word(s3c_writer_t *w, const char *key,
    const char *word);
static void explain_print_name(s3c_writer_t *w, explain_object_t *o,
    ngx_http_s3_cache_near_t *near);
static void explain_print_object(s3c_writer_t *w, explain_object_t *o);
static void explain_print_owners(s3c_writer_t *w, explain_object_t *o,
    const explain_owners_t *owners);
static void explain_print_node(s3c_writer_t *w, explain_node_t *n);


/* A constant word or null. */

static void
explain_print_word(s3c_writer_t *w, const char *key, const char *word)
{
    s3c_write_str(w, key);

    if (word == NULL) {
        s3c_write_lit(w, "null");
        return;
    }

    s3c_stats_write_string(w, s3c_slice(word, ngx_strlen(word)));
}


static void
explain_print_name(s3c_writer_t *w, explain_object_t *o,
    ngx_http_s3_cache_near_t *near)
{
    ngx_http_s3_cache_peers_t  *peers;

    peers = o->explain->zone->peers;

    if (peers == NULL) {
        s3c_write_lit(w, "null");
        return;
    }

    s3c_stats_write_string(w, ngx_http_s3_cache_slice(
                               near ? &near->name
                                    : ngx_http_s3_cache_peer_self(peers)));
}


size_t
ngx_http_s3_cache_explain_bytes(const explain_t *e)
{
    size_t      size;
    ngx_uint_t  i;

    size = HEAD_BYTES;

    for (i = 0; i < e->nobjects; i++) {
        size += HEAD_BYTES + e->objects[i]->nnodes * NODE_BYTES;
    }

    return size;
}


void
ngx_http_s3_cache_explain_print(s3c_writer_t *w, explain_t *e)
{
    ngx_uint_t  i;

    s3c_write_lit(w, "{\"zone\":");
    s3c_stats_write_string(w, ngx_http_s3_cache_slice(&e->zone->name));
    s3c_write_lit(w, ",\"bucket\":");
    s3c_stats_write_string(w, e->addr.bucket);
    s3c_write_lit(w, ",\"key\":");
    s3c_stats_write_string(w, e->addr.key);
    s3c_write_lit(w, ",\"version_id\":");

    if (e->version_id.len > 0) {
        s3c_stats_write_string(w, e->version_id);

    } else {
        s3c_write_lit(w, "null");
    }

    s3c_write_lit(w, ",\"objects\":[");

    for (i = 0; i < e->nobjects; i++) {
        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        explain_print_object(w, e->objects[i]);
    }

    s3c_write_lit(w, "]}\n");
}


static void
explain_print_object(s3c_writer_t *w, explain_object_t *o)
{
    ngx_uint_t                  i;
    ngx_http_s3_cache_peers_t  *peers;

    peers = o->explain->zone->peers;

    s3c_write_lit(w, "{\"origin\":");
    s3c_stats_write_string(w, ngx_http_s3_cache_slice(&o->conf->origin->url));
    s3c_write_lit(w, ",\"block_size\":");
    s3c_write_u64(w, o->conf->block_size);
    s3c_write_lit(w, ",\"stripe\":");
    s3c_write_u64(w, peers ? o->explain->offset / (uint64_t) peers->stripe
                           : 0);
    s3c_write_lit(w, ",\"owners\":");
    explain_print_owners(w, o, &o->stripe);
    s3c_write_lit(w, ",\"former\":");

    if (o->stripe.former != NULL) {
        explain_print_name(w, o, o->stripe.former);

    } else {
        s3c_write_lit(w, "null");
    }

    s3c_write_lit(w, ",\"record_owners\":");
    explain_print_owners(w, o, &o->record);
    s3c_write_lit(w, ",\"nodes\":[");

    for (i = 0; i < o->nnodes; i++) {
        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        explain_print_node(w, &o->nodes[i]);
    }

    s3c_write_lit(w, "]}");
}


static void
explain_print_owners(s3c_writer_t *w, explain_object_t *o,
    const explain_owners_t *owners)
{
    ngx_uint_t  i;

    s3c_write_byte(w, '[');

    for (i = 0; i < owners->n; i++) {
        if (i > 0) {
            s3c_write_byte(w, ',');
        }

        explain_print_name(w, o, owners->nears[i]);
    }

    s3c_write_byte(w, ']');
}


static void
explain_print_node(s3c_writer_t *w, explain_node_t *n)
{
    s3c_write_lit(w, "{\"name\":");
    explain_print_name(w, n->object, n->near);
    s3c_write_str(w, n->near ? ",\"self\":false" : ",\"self\":true");
    explain_print_word(w, ",\"state\":",
                 n->near ? s3c_member_state_name(n->near->state) : "ready");
    explain_print_word(w, ",\"tier\":", n->tier);

    if (n->object->explain->with_offset) {
        explain_print_word(w, ",\"block\":", n->block);
    }

    s3c_write_lit(w, ",\"status\":");

    if (!n->known) {
        s3c_write_lit(w, "null,\"etag\":null,\"size\":null,\"age_s\":null,"
                         "\"fresh_s\":null");

    } else {
        s3c_write_u64(w, n->status);
        s3c_write_lit(w, ",\"etag\":");

        if (n->etag.len > 0) {
            s3c_stats_write_string(w, n->etag);

        } else {
            s3c_write_lit(w, "null");
        }

        s3c_write_lit(w, ",\"size\":");
        s3c_write_u64(w, n->size);
        s3c_write_lit(w, ",\"age_s\":");
        s3c_write_u64(w, n->age_ms / 1000);
        s3c_write_lit(w, ",\"fresh_s\":");

        if (n->left_ms == UINT64_MAX) {
            s3c_write_lit(w, "\"forever\"");

        } else {
            s3c_write_u64(w, n->left_ms / 1000);
        }
    }

    s3c_write_str(w, n->filling ? ",\"filling\":true" : ",\"filling\":false");
    explain_print_word(w, ",\"error\":", n->error);
    s3c_write_byte(w, '}');
}
