/* SPDX-License-Identifier: Apache-2.0
 *
 * The reading of a document of identities, shared by its files only:
 * identity_read.c (JSON, strictly), identity_statement.c (one of a policy) and
 * identity_parse.c (all the rest).
 */
#ifndef S3C_AUTH_IDENTITY_PARSE_H
#define S3C_AUTH_IDENTITY_PARSE_H

#include "auth/identity_set.h"
#include "s3/s3_json.h"

typedef struct {
    s3c_s3_json_t            json;
    s3c_json_token_t         token;
    s3c_writer_t             text;       /* of the set */
    s3c_identities_t        *set;
    s3c_identities_error_t  *error;
    s3c_identity_t          *identity;   /* the ones that are being read */
    s3c_identity_key_t      *key;
    s3c_statement_t         *statement;
    s3c_resource_t          *resources;  /* of it */
    bool                     anonymous;
} s3c_identity_parse_t;

/* Takes the value whose first token has been read. */
typedef s3c_status_t (*s3c_identity_take_t)(s3c_identity_parse_t *p);

typedef struct {
    s3c_slice_t          name;
    s3c_identity_take_t  take;
    const char          *missing;        /* NULL: it need not be there */
} s3c_identity_member_t;

/* Both are INVALID and set the error: at a place in the text, or at the token
 * that was read last. message: constant. */
s3c_status_t s3c_identity_fail_at(s3c_identity_parse_t *p, size_t pos,
    const char *message);
s3c_status_t s3c_identity_fail(s3c_identity_parse_t *p, const char *message);

s3c_status_t s3c_identity_next(s3c_identity_parse_t *p) S3C_MUST_CHECK;
/* No other members than these, and each at most once. */
s3c_status_t s3c_identity_take_object(s3c_identity_parse_t *p,
    const s3c_identity_member_t *members, size_t n) S3C_MUST_CHECK;
/* empty: what to say of an array without elements, or NULL: it may be so. */
s3c_status_t s3c_identity_take_array(s3c_identity_parse_t *p,
    s3c_identity_take_t take, const char *empty) S3C_MUST_CHECK;
/* A string, into the set. */
s3c_status_t s3c_identity_take_string(s3c_identity_parse_t *p,
    s3c_slice_t *out) S3C_MUST_CHECK;
s3c_status_t s3c_identity_take_statement(s3c_identity_parse_t *p)
    S3C_MUST_CHECK;


static inline bool
s3c_identity_is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}

#endif
