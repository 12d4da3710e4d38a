/* SPDX-License-Identifier: Apache-2.0
 *
 * One object, read through the gateway and straight from the store.
 */
#ifndef S3C_CTL_CTL_COMPARE_H
#define S3C_CTL_CTL_COMPARE_H

#include "base/digest.h"
#include "ctl/ctl_http.h"
#include "ctl/ctl_json.h"

/* What one side has answered: 200 or 404. */
typedef struct {
    bool       there;
    bool       s3;                       /* it is an S3 that has answered */
    long       status;
    uint64_t   size;
    char       etag[CTL_ETAG_MAX + 1];
    char       x_cache[CTL_WORD_MAX + 1];
    uint8_t    sha[S3C_DIGEST_SHA256_BYTES];
} ctl_side_t;

/* OK: both have said that it is there, or that it is not. */
ctl_exit_t ctl_compare_read(ctl_t *ctl, const ctl_target_t *target,
    ctl_side_t *cache, ctl_side_t *store);
/* In what the cache differs from the store, in words; NULL: in nothing. */
const char *ctl_compare(const ctl_side_t *cache, const ctl_side_t *store);
/* Was it the store's answer that the gateway passed on? */
bool ctl_side_is_passed(const ctl_side_t *cache);

json_t *ctl_side_json(const ctl_side_t *side);
void ctl_side_put(const char *who, const ctl_side_t *side);

#endif
