/* SPDX-License-Identifier: Apache-2.0
 *
 * What a member of a cluster says of itself, as text: in Redis, and in shared
 * memory from one worker to the others. Foreign bytes: every reader checks.
 *
 *   value   = "s3c1" SP address SP state *( SP word )
 *   address = IPv4 ":" port / "[" IPv6 "]" ":" port        ; numeric
 *   state   = "joining" / "ready" / "leaving"
 *   word    = "weight=" 0..1000 / "zone=" label / "id=" 1*32hex / unknown=text
 *
 * Words that are unknown are skipped, so that a newer node can say more.
 */
#ifndef S3C_CLUSTER_MEMBER_H
#define S3C_CLUSTER_MEMBER_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/writer.h"
#include "cluster/ring.h"

#define S3C_MEMBER_ADDRESS_MAX  64u      /* bytes of text */
#define S3C_MEMBER_ID_MAX       32u
#define S3C_MEMBER_VALUE_MAX    512u
/* Of "name value\n", the line of a roster. */
#define S3C_MEMBER_LINE_MAX     (S3C_RING_NAME_MAX + 1 + S3C_MEMBER_VALUE_MAX + 1)

typedef enum {
    S3C_MEMBER_JOINING = 1,  /* owns nothing yet: not ready */
    S3C_MEMBER_READY,
    S3C_MEMBER_LEAVING       /* owns nothing any more; may be asked for what it
                                still has */
} s3c_member_state_t;

typedef struct {
    s3c_slice_t         name;      /* printable ASCII without spaces */
    s3c_slice_t         address;
    s3c_slice_t         zone;      /* "": none */
    s3c_slice_t         id;        /* of this run of the node; may be empty */
    uint32_t            weight;    /* 1 if it is not said */
    s3c_member_state_t  state;
} s3c_member_t;

/* The slices lie in what is given. INVALID: it breaks a rule above. */
s3c_status_t s3c_member_parse(s3c_slice_t name, s3c_slice_t value,
    s3c_member_t *m) S3C_MUST_CHECK;
/* Appends the value. INVALID: it breaks a rule; FULL: no room. Either way
 * nothing is written. */
s3c_status_t s3c_member_print(s3c_writer_t *w, const s3c_member_t *m)
    S3C_MUST_CHECK;
/* The next line of a roster, which *rest is what is left of. MISS: no more.
 * INVALID: a damaged line; the rest must not be believed. */
s3c_status_t s3c_member_next(s3c_slice_t *rest, s3c_member_t *m)
    S3C_MUST_CHECK;

const char *s3c_member_state_name(s3c_member_state_t state);

#endif
