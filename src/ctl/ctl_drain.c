/* SPDX-License-Identifier: Apache-2.0
 *
 * s3cachectl drain, undrain: a node leaves its ring and comes back. With --wait
 * until that is so: who is drained is waited for until all others know it and
 * none has asked it for anything for a while, so that it may be stopped.
 */
#include "ctl/ctl_clock.h"
#include "ctl/ctl_node.h"
#include "ctl/ctl_text.h"

#define DRAIN_QUIET_S    10.0
#define DRAIN_TIMEOUT_S  600.0
#define DRAIN_EVERY_S    0.25


/* Have all zones in the answer of s3_cache_admin come to this state? */
static bool
drain_is(const json_t *json, const char *state)
{
    const json_t  *zones = ctl_json_at(json, "zones");

    for (size_t i = 0; i < json_array_size(zones); i++) {
        if (!ctl_json_says(json_array_get(zones, i), "state", state)) {
            return false;
        }
    }

    return json_array_size(zones) > 0;
}


/* Of a zone among these, what others were answered; of all zones meant. */
static ctl_exit_t
drain_served(ctl_t *ctl, uint64_t *served)
{
    json_t        *json;
    ctl_exit_t     end;
    const json_t  *zones;

    *served = 0;
    end = ctl_node_status(ctl, &json);

    if (end != CTL_OK) {
        return end;
    }

    zones = ctl_json_at(json, "zones");

    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t  *zone = json_array_get(zones, i);

        if (ctl_node_zone_meant(ctl, zone)) {
            *served += ctl_json_u64(zone, "peers.served");
        }
    }

    json_decref(json);

    return CTL_OK;
}


static ctl_exit_t
drain_state(ctl_t *ctl, const char *state, double until)
{
    bool         there = false;
    json_t      *json;
    ctl_exit_t   end;
    ctl_query_t  query;

    ctl_query_init(&query);
    ctl_query_add_zone(&query, ctl);

    for ( ;; ) {
        end = ctl_node_ask(ctl, CTL_DOOR_ADMIN, "GET", &query, &json);

        if (end != CTL_OK) {
            return end;
        }

        there = drain_is(json, state);
        json_decref(json);

        if (there) {
            return CTL_OK;
        }

        if (ctl_clock_s() >= until) {
            return ctl_fail(ctl, CTL_TIMEOUT, "the node is not %s yet",
                            state);
        }

        ctl_clock_pause(DRAIN_EVERY_S);
    }
}


static ctl_exit_t
drain_silence(ctl_t *ctl, double until)
{
    double      quiet_s, since = ctl_clock_s();
    uint64_t    served, last = UINT64_MAX;
    ctl_exit_t  end;

    quiet_s = ctl->options.quiet_s > 0 ? ctl->options.quiet_s : DRAIN_QUIET_S;

    for ( ;; ) {
        end = drain_served(ctl, &served);

        if (end != CTL_OK) {
            return end;
        }

        if (served != last) {
            last = served;
            since = ctl_clock_s();
        }

        if (ctl_clock_s() - since >= quiet_s) {
            return CTL_OK;
        }

        if (ctl_clock_s() >= until) {
            return ctl_fail(ctl, CTL_TIMEOUT, "it is still asked by others");
        }

        ctl_clock_pause(DRAIN_EVERY_S);
    }
}


static void
drain_print(const json_t *json)
{
    const json_t  *zones = ctl_json_at(json, "zones");

    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t  *zone = json_array_get(zones, i);

        (void) printf("zone ");
        ctl_text_put(stdout, ctl_json_text(zone, "zone"));
        (void) printf(": ");
        ctl_text_put(stdout, ctl_json_text(zone, "state"));
        (void) printf(ctl_json_is(zone, "draining") ? ", draining\n" : "\n");
    }

    (void) fflush(stdout);
}


static ctl_exit_t
drain_set(ctl_t *ctl, bool on)
{
    double       until;
    json_t      *json;
    ctl_exit_t   end;
    ctl_query_t  query;

    ctl_query_init(&query);
    ctl_query_add(&query, "drain", on ? S3C_SLICE("on") : S3C_SLICE("off"));
    ctl_query_add_zone(&query, ctl);

    end = ctl_node_tell(ctl, CTL_DOOR_ADMIN, &query, NULL, "zones",
                        &json);

    if (end != CTL_OK) {
        return end;
    }

    if (!json_is_array(ctl_json_at(json, "zones"))) {
        end = ctl_fail(ctl, CTL_WRONG, "no answer to a drain");

    } else if (ctl->options.json) {
        ctl_json_print(stdout, json);

    } else {
        drain_print(json);
    }

    json_decref(json);

    if (end != CTL_OK || !ctl->options.wait) {
        return end;
    }

    until = ctl_clock_s() + (ctl->options.wait_timeout_s > 0
                           ? ctl->options.wait_timeout_s : DRAIN_TIMEOUT_S);
    end = drain_state(ctl, on ? "leaving" : "ready", until);

    if (end == CTL_OK && on) {
        end = drain_silence(ctl, until);
    }

    if (end == CTL_OK && !ctl->options.json) {
        (void) printf(on ? "no node asks it any more: it may be stopped\n"
                         : "it is back\n");
    }

    return end;
}


ctl_exit_t
ctl_drain(ctl_t *ctl)
{
    return drain_set(ctl, true);
}


ctl_exit_t
ctl_undrain(ctl_t *ctl)
{
    return drain_set(ctl, false);
}
