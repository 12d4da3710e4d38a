/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl explain s3://bucket/key: is it cached, where, and if not, why.
 */
#include "ctl/ctl_explain.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"

static const struct {
    const char  *error;
    const char  *means;
} explain_errors[] = {
    { "unreachable", "does not answer; if it has it, nobody gets it from it "
                     "now" },
    { "busy", "was too busy to look" },
    { "failed", "failed to look" },
    { "wrong", "answered with another object" },
    { "no_slot", "has a worker that does without the zone (see the error "
                 "log)" }
};


static void
explain_name(const json_t *node)
{
    s3c_slice_t  name = ctl_json_text(node, "name");

    if (name.len == 0) {
        (void) printf("this node");
        return;
    }

    (void) printf("node ");
    ctl_text_put(stdout, name);
}


static void
explain_row(ctl_table_t *table, const json_t *n, bool with_block)
{
    s3c_slice_t    tier = ctl_json_text(n, "tier");
    s3c_slice_t    name = ctl_json_text(n, "name");
    s3c_slice_t    block = ctl_json_text(n, "block");
    const json_t  *fresh = ctl_json_at(n, "fresh_s");
    bool           known = json_is_integer(ctl_json_at(n, "status"));

    ctl_table_text(table, name.len > 0 ? name : S3C_SLICE("(this one)"));
    ctl_table_text(table, tier.len > 0 ? tier : S3C_SLICE("-"));

    if (with_block) {
        ctl_table_text(table, block.len > 0 ? block : S3C_SLICE("-"));
    }

    ctl_table_word(table, known ? ctl_count(ctl_json_u64(n, "status")) : "-");
    ctl_table_word(table, known ? ctl_bytes(ctl_json_u64(n, "size")) : "-");
    ctl_table_word(table, known ? ctl_span(ctl_json_u64(n, "age_s")) : "-");
    ctl_table_word(table, json_is_string(fresh) ? "forever"
                          : known ? ctl_span(ctl_json_u64(n, "fresh_s"))
                          : "-");
    ctl_table_text(table, ctl_json_text(n, "etag"));
    ctl_table_text(table, ctl_json_text(n, "error"));
}


/* Why not, node by node. */
static void
explain_why(const json_t *nodes, uint64_t absent)
{
    bool  known = false;

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t  *n = json_array_get(nodes, i);

        for (size_t k = 0;
             k < sizeof(explain_errors) / sizeof(explain_errors[0]); k++)
        {
            if (ctl_json_says(n, "error", explain_errors[k].error)) {
                known = true;
                (void) printf("  ");
                explain_name(n);
                (void) printf(" %s\n", explain_errors[k].means);
            }
        }

        if (ctl_json_is(n, "filling")) {
            known = true;
            (void) printf("  it is being fetched now\n");
        }
    }

    if (absent > 0) {
        (void) printf("  the store said that there is no such object, and "
                      "that is what is kept\n");

    } else if (!known) {
        (void) printf("  nobody has read it, it has left again, or it has to "
                      "be validated first\n");
    }
}


/* Whether some node has it. */
static bool
explain_object(const json_t *object, bool with_block)
{
    bool                      kept = false;
    uint64_t                  absent = 0;
    ctl_table_t               table;
    const json_t             *nodes = ctl_json_at(object, "nodes");
    const json_t             *owners = ctl_json_at(object, "owners");
    const char               *tier = with_block ? "block" : "tier";
    static const char *const  heads[] = {
        "NODE", "TIER", "STATUS", "SIZE", "AGE", "FRESH", "ETAG", "ERROR"
    };
    static const char *const  block_heads[] = {
        "NODE", "TIER", "BLOCK", "STATUS", "SIZE", "AGE", "FRESH", "ETAG",
        "ERROR"
    };

    ctl_table_init(&table, with_block ? block_heads : heads,
                   with_block ? 9 : 8, with_block ? 0x78 : 0x3c);

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t  *n = json_array_get(nodes, i);
        bool           is_absent = ctl_json_u64(n, "status") == 404;

        absent += is_absent;
        kept |= ctl_json_text(n, tier).len > 0 && !is_absent;
        explain_row(&table, n, with_block);
    }

    (void) printf("%s, of ", kept ? "cached" : "not cached");
    ctl_text_put(stdout, ctl_json_text(object, "origin"));

    for (size_t i = 0; i < json_array_size(owners); i++) {
        (void) printf(i == 0 ? "; owned by " : ", ");
        ctl_text_put(stdout, ctl_json_text(json_array_get(owners, i), ""));
    }

    (void) printf("\n");

    if (!kept) {
        explain_why(nodes, absent);
    }

    (void) printf("\n");
    ctl_table_print(&table, stdout, 2);
    ctl_table_fini(&table);

    return kept;
}


/* The same without a word, for --json. */
static bool
explain_is_kept(const json_t *object, const char *tier)
{
    const json_t  *nodes = ctl_json_at(object, "nodes");

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t  *n = json_array_get(nodes, i);

        if (ctl_json_text(n, tier).len > 0
            && ctl_json_u64(n, "status") != 404)
        {
            return true;
        }
    }

    return false;
}


ctl_exit_t
ctl_explain_ask(ctl_t *ctl, const ctl_target_t *target, json_t **json)
{
    ctl_exit_t    end;
    ctl_query_t   query;
    uint8_t       path[CTL_BUCKET_MAX + CTL_KEY_MAX + 2];
    char          digits[24];
    s3c_writer_t  w;

    s3c_writer_init(&w, path, sizeof(path));
    s3c_write_byte(&w, '/');
    s3c_write_slice(&w, target->bucket);
    s3c_write_byte(&w, '/');
    s3c_write_slice(&w, target->key);

    ctl_query_init(&query);
    ctl_query_add(&query, "explain", s3c_writer_slice(&w));
    ctl_query_add_zone(&query, ctl);

    if (ctl->options.version_id != NULL) {
        ctl_query_add(&query, "versionId",
                      s3c_slice(ctl->options.version_id,
                                strlen(ctl->options.version_id)));
    }

    if (ctl->options.has_offset) {
        int  n = snprintf(digits, sizeof(digits), "%llu",
                          (unsigned long long) ctl->options.offset);

        ctl_query_add(&query, "offset", s3c_slice(digits, (size_t) n));
    }

    end = ctl_node_ask(ctl, CTL_DOOR_STATUS, "GET", &query, json);

    if (end == CTL_OK && !json_is_array(ctl_json_at(*json, "objects"))) {
        json_decref(*json);
        *json = NULL;
        end = ctl_fail(ctl, CTL_WRONG, "no answer to where an object is");
    }

    return end;
}


bool
ctl_explain_has(const json_t *json, bool with_block)
{
    const json_t  *objects = ctl_json_at(json, "objects");

    for (size_t i = 0; i < json_array_size(objects); i++) {
        if (explain_is_kept(json_array_get(objects, i),
                            with_block ? "block" : "tier"))
        {
            return true;
        }
    }

    return false;
}


bool
ctl_explain_any(const json_t *json)
{
    const json_t  *objects = ctl_json_at(json, "objects");

    for (size_t i = 0; i < json_array_size(objects); i++) {
        const json_t  *nodes = ctl_json_at(json_array_get(objects, i),
                                           "nodes");

        for (size_t k = 0; k < json_array_size(nodes); k++) {
            if (ctl_json_text(json_array_get(nodes, k), "tier").len > 0) {
                return true;
            }
        }
    }

    return false;
}


ctl_exit_t
ctl_explain(ctl_t *ctl)
{
    bool           kept = false;
    json_t        *json;
    const char    *why;
    ctl_exit_t     end;
    ctl_target_t   target;
    const json_t  *objects;

    if (ctl_target_parse(&target, s3c_slice(ctl->args[0],
                                            strlen(ctl->args[0])), &why)
        != S3C_OK || target.key.len == 0)
    {
        return ctl_fail(ctl, CTL_USAGE, "\"%s\": %s", ctl->args[0],
                        why != NULL ? why : "a key is needed");
    }

    end = ctl_explain_ask(ctl, &target, &json);

    if (end != CTL_OK) {
        return end;
    }

    if (ctl->options.json) {
        ctl_json_print(stdout, json);
        kept = ctl_explain_has(json, ctl->options.has_offset);

    } else {
        objects = ctl_json_at(json, "objects");

        for (size_t i = 0; i < json_array_size(objects); i++) {
            kept |= explain_object(json_array_get(objects, i),
                                   ctl->options.has_offset);
        }

        if (json_array_size(objects) == 0) {
            (void) printf("not cached: its name is too long to be kept\n");
        }
    }

    json_decref(json);

    return kept ? CTL_OK : CTL_NO;
}
