/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of a gateway: who they are, by access key, and what each may do.
 * Read from one JSON document; docs/adr/0024-identities-and-policies.md has
 * its grammar and says why it is so.
 *
 * A set is one piece of memory, never changed once it is made: a reload makes
 * another one and swaps the pointer. Errors name a line and what is wrong with
 * it, never its text.
 *
 * LIMITS: below. Of a file that goes beyond one, all is refused.
 */
#ifndef S3C_AUTH_IDENTITY_H
#define S3C_AUTH_IDENTITY_H

#include "auth/policy.h"
#include "base/slice.h"
#include "base/status.h"

#define S3C_IDENTITY_FILE_MAX        (1024 * 1024)
#define S3C_IDENTITIES_MAX           4096
#define S3C_IDENTITY_KEYS_MAX        16384       /* of all identities */
#define S3C_IDENTITY_STATEMENTS_MAX  16384
#define S3C_IDENTITY_RESOURCES_MAX   65536
/* bytes */
#define S3C_IDENTITY_NAME_MAX        64
#define S3C_IDENTITY_ACCESS_KEY_MAX  128
#define S3C_IDENTITY_SECRET_MAX      256
#define S3C_IDENTITY_TOKEN_MAX       8192

typedef struct {
    s3c_slice_t   name;          /* of letters, digits and +=,.@_- */
    s3c_policy_t  policy;
} s3c_identity_t;

typedef struct {
    s3c_slice_t            access_key;
    s3c_slice_t            secret_key;
    s3c_slice_t            session_token;        /* empty: none */
    const s3c_identity_t  *identity;
} s3c_identity_key_t;

typedef struct s3c_identities_s  s3c_identities_t;

typedef struct {
    unsigned     line;           /* 0: none applies */
    const char  *message;        /* constant, of no secret */
} s3c_identities_error_t;

/* INVALID or FULL (no memory) sets *error, and *set to NULL. The set holds
 * nothing of text, which the caller wipes and frees. */
s3c_status_t s3c_identities_parse(s3c_slice_t text, s3c_identities_t **set,
    s3c_identities_error_t *error) S3C_MUST_CHECK;
/* Wipes it; NULL is nothing. */
void s3c_identities_destroy(s3c_identities_t *set);

/* NULL: nobody has it. Takes as long for a set of any size. */
const s3c_identity_key_t *s3c_identities_find(const s3c_identities_t *set,
    s3c_slice_t access_key);
/* Whose requests are not signed; NULL: such may do nothing. */
const s3c_identity_t *s3c_identities_anonymous(const s3c_identities_t *set);
unsigned s3c_identities_count(const s3c_identities_t *set);

/* NULL is nobody, who may nothing. */
bool s3c_identity_may(const s3c_identity_t *identity,
    const s3c_access_t *access);
/* All that a request needs; nobody may do what needs nothing. */
bool s3c_identity_may_all(const s3c_identity_t *identity,
    const s3c_needs_t *needs);

#endif
