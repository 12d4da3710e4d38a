/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl ring: the nodes of a zone's ring, as one of them sees them.
 */
#include "ctl/ctl_node.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_text.h"


/* A node is well if it is ready and answers, or nobody has asked it yet. */
static bool
ring_is_well(const json_t *member)
{
    return ctl_json_says(member, "state", "ready")
           && !ctl_json_says(member, "reach", "resting");
}


static void
ring_row(ctl_table_t *table, const json_t *m)
{
    bool  self = ctl_json_is(m, "self");

    ctl_table_text(table, ctl_json_text(m, "name"));
    ctl_table_text(table, ctl_json_text(m, "state"));
    ctl_table_text(table, ctl_json_text(m, "reach"));
    ctl_table_word(table, ctl_share(ctl_json_real(m, "share", 0), 1));
    ctl_table_word(table, ctl_count(ctl_json_u64(m, "weight")));
    ctl_table_text(table, ctl_json_text(m, "zone"));
    ctl_table_text(table, ctl_json_text(m, "address"));

    if (self) {
        for (int i = 0; i < 4; i++) {
            ctl_table_word(table, "");
        }

        return;
    }

    ctl_table_word(table, ctl_count(ctl_json_u64(m, "asks")));
    ctl_table_word(table, ctl_count(ctl_json_u64(m, "failures.away")
                                    + ctl_json_u64(m, "failures.wrong")));
    ctl_table_word(table, ctl_bytes(ctl_json_u64(m, "received_bytes")));
    ctl_table_word(table, ctl_seconds(ctl_json_real(m, "first_byte.p99",
                                                    -1)));
}


static void
ring_print(const json_t *zone, const json_t *ring)
{
    ctl_table_t               table;
    const json_t             *members = ctl_json_at(ring, "members");
    static const char *const  heads[] = {
        "NODE", "STATE", "REACH", "SHARE", "WEIGHT", "ZONE", "ADDRESS",
        "ASKED", "FAILED", "RECEIVED", "P99"
    };

    (void) printf("zone ");
    ctl_text_put(stdout, ctl_json_text(zone, "name"));
    (void) printf(": %zu nodes, epoch %s, digest ", json_array_size(members),
                  ctl_count(ctl_json_u64(ring, "epoch")));
    ctl_text_put(stdout, ctl_json_text(ring, "digest"));
    (void) printf("\n\n");

    ctl_table_init(&table, heads, sizeof(heads) / sizeof(heads[0]), 0x798);

    for (size_t i = 0; i < json_array_size(members); i++) {
        ring_row(&table, json_array_get(members, i));
    }

    ctl_table_print(&table, stdout, 0);
    ctl_table_fini(&table);
    (void) printf("\n");
}


/* In words; how many are not well. */
static size_t
ring_health(const json_t *ring, bool shown)
{
    size_t         ill = 0;
    const json_t  *members = ctl_json_at(ring, "members");

    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t  *m = json_array_get(members, i);

        if (ring_is_well(m)) {
            continue;
        }

        ill++;

        if (shown) {
            ctl_text_put(stdout, ctl_json_text(m, "name"));
            (void) printf(ctl_json_says(m, "reach", "resting")
                          ? " does not answer\n" : " is not ready\n");
        }
    }

    if (!ctl_json_is(ring, "vouched")) {
        ill++;

        if (shown) {
            (void) printf("not all nodes answer for what they write: what is "
                          "kept is validated\n");
        }
    }

    if (shown && ill == 0) {
        (void) printf("healthy\n");
    }

    return ill;
}


ctl_exit_t
ctl_ring(ctl_t *ctl)
{
    json_t        *json;
    ctl_exit_t     end;
    const json_t  *zone, *ring;

    end = ctl_node_status(ctl, &json);

    if (end != CTL_OK) {
        return end;
    }

    end = ctl_node_zone(ctl, json, &zone);
    ring = end == CTL_OK ? ctl_json_at(zone, "ring") : NULL;

    if (end == CTL_OK && !json_is_array(ctl_json_at(ring, "members"))) {
        end = ctl_fail(ctl, CTL_REFUSED, "this zone is in no ring");
    }

    if (end == CTL_OK) {

        if (ctl->options.json) {
            ctl_json_print(stdout, ring);

        } else {
            ring_print(zone, ring);
        }

        end = ring_health(ring, !ctl->options.json) == 0 ? CTL_OK : CTL_NO;
    }

    json_decref(json);

    return end;
}
