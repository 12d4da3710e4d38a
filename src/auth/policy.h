/* SPDX-License-Identifier: Apache-2.0
 *
 * What an identity may do: statements that allow or deny actions on resources.
 * One deny that fits is a no; without an allow that fits it is a no, too. An
 * allow reaches what it names; a deny also all that it names a part of.
 */
#ifndef S3C_AUTH_POLICY_H
#define S3C_AUTH_POLICY_H

#include "auth/access.h"

/*  bucket  keys    an allow                      a deny
 *  -       -       everything                    everything
 *  B       -       LIST of any prefix, ADMIN     all of the bucket and its
 *                  of the bucket                 keys
 *  B       K       its keys; LIST of prefixes    its keys; LIST of prefixes,
 *                  all of whose keys fit; that   ADMIN of the bucket, if a key
 *                  the bucket is there           could fit
 */
typedef struct {
    s3c_slice_t  bucket;         /* patterns, see pattern.h */
    s3c_slice_t  keys;
} s3c_resource_t;

typedef struct {
    bool                   deny;
    uint8_t                actions;      /* bits: 1 << s3c_action_t */
    uint32_t               n_resources;
    const s3c_resource_t  *resources;
} s3c_statement_t;

typedef struct {
    uint32_t                n_statements;
    const s3c_statement_t  *statements;
} s3c_policy_t;

/* Looks at each statement in turn: costs what the policy is long. */
bool s3c_policy_may(const s3c_policy_t *policy, const s3c_access_t *access);
/* Is there any key in the bucket for which an allow stands? What is denied is
 * not looked at. */
bool s3c_policy_may_some(const s3c_policy_t *policy, s3c_action_t action,
    s3c_slice_t bucket);

#endif
