/* SPDX-License-Identifier: Apache-2.0
 *
 * Every status that a node, nginx, or something in front of it may answer has
 * words that say what to do.
 */
#include "ctl/ctl_node.h"

#include "ctl/ctl_text.h"
#include "s3/s3_uri.h"

#define NODE_ANSWER_MAX  (256u << 20)

static const struct {
    const char  *name;                 /* of the directive */
    const char  *option;
} node_doors[] = {
    [CTL_DOOR_STATUS] = { "s3_cache_status", "--status" },
    [CTL_DOOR_ADMIN] = { "s3_cache_admin", "--admin" }
};


void
ctl_query_init(ctl_query_t *query)
{
    s3c_writer_init(&query->w, query->text, sizeof(query->text));
}


void
ctl_query_add(ctl_query_t *query, const char *name, s3c_slice_t value)
{
    if (query->w.pos > query->w.start) {
        s3c_write_byte(&query->w, '&');
    }

    s3c_write_str(&query->w, name);
    s3c_write_byte(&query->w, '=');
    s3c_uri_encode(&query->w, value, false);
}


void
ctl_query_add_zone(ctl_query_t *query, const ctl_t *ctl)
{
    if (ctl->conf.zone != NULL) {
        ctl_query_add(query, "zone", s3c_slice(ctl->conf.zone,
                                               strlen(ctl->conf.zone)));
    }
}


static const char *
node_path(const ctl_t *ctl, ctl_door_t door)
{
    return door == CTL_DOOR_ADMIN ? ctl->conf.admin : ctl->conf.status;
}


/* json: what came, or NULL. */
static ctl_exit_t
node_refused(ctl_t *ctl, ctl_door_t door, long status, const json_t *json)
{
    const char   *path = node_path(ctl, door);
    const char   *host = ctl_endpoint_name(&ctl->conf.node);
    s3c_slice_t   said = ctl_json_text(json, "error");
    s3c_slice_t   code = ctl_json_text(json, "code");

    if (status == 401 || status == 403) {
        if (said.len > 0) {
            return ctl_fail(ctl, CTL_DENIED, "%s refuses: %.*s%s%.*s", host,
                            (int) said.len, said.data,
                            code.len > 0 ? " " : "",
                            (int) code.len, code.data);
        }

        return ctl_fail(ctl, CTL_DENIED,
                        "%s refuses (%ld): %s may not be reached from here, "
                        "or asks for another proof than a signature", host,
                        status, path);
    }

    if (said.len > 0) {
        return ctl_fail(ctl, CTL_REFUSED, "%s: %.*s", host, (int) said.len,
                        said.data);
    }

    if (status == 404) {
        return ctl_fail(ctl, CTL_REFUSED,
                        "%s has nothing at %s: where is its %s? (%s)", host,
                        path, node_doors[door].name, node_doors[door].option);
    }

    if (status == 413) {
        return ctl_fail(ctl, CTL_REFUSED, "%s takes no list of that size "
                        "(client_max_body_size)", host);
    }

    if (status >= 300 && status < 400) {
        return ctl_fail(ctl, CTL_REFUSED,
                        "%s sends elsewhere (%ld), which is not followed",
                        host, status);
    }

    return ctl_fail(ctl, CTL_REFUSED, "%s answers %ld at %s", host, status,
                    path);
}


static ctl_exit_t
node_request(ctl_t *ctl, ctl_door_t door, ctl_ask_t *ask,
    const ctl_query_t *query, long *status, json_t **json)
{
    ctl_exit_t    end;
    const char   *path = node_path(ctl, door);
    ctl_answer_t  answer;

    *json = NULL;

    if (!s3c_writer_ok(&query->w)) {
        return ctl_fail(ctl, CTL_USAGE, "the names are too long");
    }

    ask->at = &ctl->conf.node;
    ask->keys = &ctl->conf.keys;
    ask->path = s3c_slice(path, strlen(path));
    ask->query = s3c_writer_slice(&query->w);
    ask->max = NODE_ANSWER_MAX;

    end = ctl_http_ask(ctl, ask, &answer);

    if (end != CTL_OK) {
        return end;
    }

    *status = answer.status;

    if (ctl_json_parse(json, s3c_slice(answer.body, answer.len)) != S3C_OK
        && answer.status >= 200 && answer.status < 300)
    {
        end = ctl_fail(ctl, CTL_WRONG,
                       "what %s answers at %s is no JSON of a node: is it its "
                       "%s? (%s)", ctl_endpoint_name(&ctl->conf.node), path,
                       node_doors[door].name, node_doors[door].option);
    }

    ctl_answer_fini(&answer);

    return end;
}


ctl_exit_t
ctl_node_ask(ctl_t *ctl, ctl_door_t door, const char *method,
    const ctl_query_t *query, json_t **json)
{
    long        status;
    ctl_ask_t   ask = { .method = method };
    ctl_exit_t  end = node_request(ctl, door, &ask, query, &status, json);

    if (end == CTL_OK && status != 200) {
        end = node_refused(ctl, door, status, *json);
    }

    if (end != CTL_OK) {
        json_decref(*json);
        *json = NULL;
    }

    return end;
}


ctl_exit_t
ctl_node_tell(ctl_t *ctl, ctl_door_t door, const ctl_query_t *query,
    const ctl_body_t *body, const char *done, json_t **json)
{
    long        status;
    ctl_ask_t   ask = { .method = "POST" };
    ctl_exit_t  end;

    if (body != NULL) {
        ask.body = body->file;
        ask.body_bytes = body->bytes;
        ask.body_sha = body->sha;
    }

    end = node_request(ctl, door, &ask, query, &status, json);

    if (end == CTL_OK && (status < 200 || status >= 300)
        && ctl_json_at(*json, done) == NULL)
    {
        end = node_refused(ctl, door, status, *json);
    }

    if (end != CTL_OK) {
        json_decref(*json);
        *json = NULL;
    }

    return end;
}


ctl_exit_t
ctl_node_status(ctl_t *ctl, json_t **json)
{
    ctl_exit_t   end;
    ctl_query_t  query;

    ctl_query_init(&query);
    ctl_query_add(&query, "format", S3C_SLICE("json"));

    end = ctl_node_ask(ctl, CTL_DOOR_STATUS, "GET", &query, json);

    if (end == CTL_OK && !json_is_array(ctl_json_at(*json, "zones"))) {
        json_decref(*json);
        end = ctl_fail(ctl, CTL_WRONG, "no status of a node");
    }

    return end;
}


bool
ctl_node_zone_meant(const ctl_t *ctl, const json_t *zone)
{
    return ctl->conf.zone == NULL
           || ctl_json_says(zone, "name", ctl->conf.zone);
}


ctl_exit_t
ctl_node_zone(ctl_t *ctl, const json_t *status, const json_t **zone)
{
    size_t         n;
    const json_t  *zones = ctl_json_at(status, "zones");

    n = json_array_size(zones);

    if (ctl->conf.zone == NULL) {
        *zone = json_array_get(zones, 0);

        return n == 1 ? CTL_OK
               : n == 0 ? ctl_fail(ctl, CTL_REFUSED, "the node has no zone")
               : ctl_fail(ctl, CTL_USAGE, "the node has several zones: name "
                          "one (--zone)");
    }

    for (size_t i = 0; i < n; i++) {
        *zone = json_array_get(zones, i);

        if (ctl_node_zone_meant(ctl, *zone)) {
            return CTL_OK;
        }
    }

    return ctl_fail(ctl, CTL_REFUSED, "the node has no zone \"%s\"",
                    ctl->conf.zone);
}
