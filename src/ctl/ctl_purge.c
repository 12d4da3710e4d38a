/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl purge key|prefix|bucket|all: each answer of s3_cache_admin in
 * words. What is named must be of the kind that is said: a bucket is never
 * purged for the want of a key.
 */
#include "ctl/ctl_node.h"
#include "ctl/ctl_text.h"


static s3c_slice_t
purge_text(const char *text)
{
    return s3c_slice(text, strlen(text));
}


static ctl_exit_t
purge_query(ctl_t *ctl, ctl_query_t *query)
{
    const char    *why, *kind = ctl->args[0];
    bool           all = strcmp(kind, "all") == 0;
    bool           key = strcmp(kind, "key") == 0;
    bool           prefix = strcmp(kind, "prefix") == 0;
    ctl_target_t   target;

    if (!all && !key && !prefix && strcmp(kind, "bucket") != 0) {
        return ctl_fail(ctl, CTL_USAGE,
                        "purge what? key, prefix, bucket or all");
    }

    if (all && ctl->n_args != 1) {
        return ctl_fail(ctl, CTL_USAGE, "all is all: it takes no name");
    }

    if (!all && ctl->n_args != 2) {
        return ctl_fail(ctl, CTL_USAGE, "s3://bucket%s is needed",
                        key ? "/key" : prefix ? "/prefix" : "");
    }

    if (all && !ctl->options.yes) {
        return ctl_fail(ctl, CTL_USAGE, "everything will be fetched anew from "
                        "the store: --yes says that you mean it");
    }

    if (ctl->options.version_id != NULL && !key) {
        return ctl_fail(ctl, CTL_USAGE, "--version-id is of a key");
    }

    ctl_query_init(query);
    ctl_query_add(query, "purge", purge_text(kind));
    ctl_query_add_zone(query, ctl);

    if (all) {
        return CTL_OK;
    }

    if (ctl_target_parse(&target, purge_text(ctl->args[1]), &why) != S3C_OK) {
        return ctl_fail(ctl, CTL_USAGE, "\"%s\": %s", ctl->args[1], why);
    }

    if (key ? target.key.len == 0 : !prefix && target.key.len > 0) {
        return ctl_fail(ctl, CTL_USAGE, key ? "\"%s\" names no key"
                        : "\"%s\" is more than a bucket", ctl->args[1]);
    }

    ctl_query_add(query, "bucket", target.bucket);

    if (key || prefix) {
        ctl_query_add(query, kind, target.key);
    }

    if (ctl->options.version_id != NULL) {
        ctl_query_add(query, "versionId",
                      purge_text(ctl->options.version_id));
    }

    return CTL_OK;
}


static void
purge_print(const json_t *json)
{
    uint64_t       nodes = ctl_json_u64(json, "nodes");
    const json_t  *missed = ctl_json_at(json, "missed");
    size_t         n = json_array_size(missed);

    (void) printf("purged at %s of %s node%s\n",
                  ctl_count(nodes > n ? nodes - n : 0), ctl_count(nodes),
                  nodes == 1 ? "" : "s");

    for (size_t i = 0; i < n; i++) {
        (void) printf("not told: ");
        ctl_text_put(stdout, ctl_json_text(json_array_get(missed, i), ""));
        (void) printf("\n");
    }
}


ctl_exit_t
ctl_purge(ctl_t *ctl)
{
    json_t      *json;
    ctl_exit_t   end;
    ctl_query_t  query;

    end = purge_query(ctl, &query);

    if (end == CTL_OK) {
        end = ctl_node_tell(ctl, CTL_DOOR_ADMIN, &query, NULL, "purged",
                            &json);
    }

    if (end != CTL_OK) {
        return end;
    }

    if (ctl_json_text(json, "purged").len == 0
        || !json_is_array(ctl_json_at(json, "missed")))
    {
        end = ctl_fail(ctl, CTL_WRONG, "no answer to a purge");

    } else {

        if (ctl->options.json) {
            ctl_json_print(stdout, json);

        } else {
            purge_print(json);
        }

        if (json_array_size(ctl_json_at(json, "missed")) > 0
            || ctl_json_text(json, "error").len > 0)
        {
            end = ctl_fail(ctl, CTL_REFUSED, "not everywhere: repeat it when "
                           "all nodes can be reached");

            if (ctl->options.json) {
                ctl->error[0] = '\0';          /* the answer says it */
            }
        }
    }

    json_decref(json);

    return end;
}
