/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's endpoints, s3_cache_status and s3_cache_admin: a question, and the
 * JSON that it is answered by, or in words why there is none.
 */
#ifndef S3C_CTL_CTL_NODE_H
#define S3C_CTL_CTL_NODE_H

#include "base/digest.h"
#include "base/writer.h"
#include "ctl/ctl.h"
#include "ctl/ctl_http.h"
#include "ctl/ctl_json.h"

typedef enum {
    CTL_DOOR_STATUS,
    CTL_DOOR_ADMIN
} ctl_door_t;

/* A file, from where it stands. */
typedef struct {
    FILE      *file;
    uint64_t   bytes;
    uint8_t    sha[S3C_DIGEST_SHA256_BYTES];
} ctl_body_t;

typedef struct {
    s3c_writer_t  w;
    char          text[CTL_QUERY_MAX];
} ctl_query_t;

void ctl_query_init(ctl_query_t *query);
/* "&name=value", the value encoded. */
void ctl_query_add(ctl_query_t *query, const char *name, s3c_slice_t value);
/* The same, with the zone of the settings, if there is one. */
void ctl_query_add_zone(ctl_query_t *query, const ctl_t *ctl);

/* OK: a 200, *json is the caller's. Else it has been said why. */
ctl_exit_t ctl_node_ask(ctl_t *ctl, ctl_door_t door, const char *method,
    const ctl_query_t *query, json_t **json);
/* A POST, perhaps with a body. OK also for another status than 2xx, if the
 * answer holds what is named `done`: a part of it has been done. */
ctl_exit_t ctl_node_tell(ctl_t *ctl, ctl_door_t door, const ctl_query_t *query,
    const ctl_body_t *body, const char *done, json_t **json);

/* The status of the node, whose "zones" are an array. */
ctl_exit_t ctl_node_status(ctl_t *ctl, json_t **json);
/* Is this zone of it meant by the settings? */
bool ctl_node_zone_meant(const ctl_t *ctl, const json_t *zone);
/* The zone of the settings in a status, or its only one, else why not. */
ctl_exit_t ctl_node_zone(ctl_t *ctl, const json_t *status,
    const json_t **zone);

#endif
