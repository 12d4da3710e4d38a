/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests need: of a byte that picks the method, and lines: path, query
 * and headers. It is in its bounds, and one more thing in a request never
 * makes it need less.
 */
#include <stdlib.h>

#include "auth/access.h"

#define HEADERS  8


static void
require(bool truth)
{
    if (!truth) {
        abort();
    }
}


static bool
next_line(s3c_slice_t *rest, s3c_slice_t *line)
{
    const uint8_t  *lf;

    if (rest->len == 0) {
        return false;
    }

    lf = memchr(rest->data, '\n', rest->len);
    *line = s3c_slice(rest->data, lf ? (size_t) (lf - rest->data) : rest->len);
    rest->data += line->len + (lf ? 1 : 0);
    rest->len -= line->len + (lf ? 1 : 0);

    return true;
}


static void
check(const s3c_needs_t *needs, const s3c_s3_address_t *addr)
{
    require(needs->n <= S3C_NEEDS_MAX);

    for (unsigned i = 0; i < needs->n; i++) {
        const s3c_access_t  *a = &needs->all[i];

        require(a->action < S3C_ACTIONS);
        require((a->scope == S3C_SCOPE_KEY) <= (a->key.len > 0));
        require(a->key.len <= S3C_S3_KEY_BYTES_MAX);
        require(a->action == S3C_ACTION_READ || a->bucket.len == 0
                || s3c_slice_eq(a->bucket, addr->bucket));
    }

    if (needs->keys_in_body) {
        require(needs->all[0].action == S3C_ACTION_WRITE
                && needs->all[0].scope == S3C_SCOPE_PREFIX
                && needs->all[0].key.len == 0);
    }
}


/* Anything else in the query: an origin might do that. */
static void
check_unknown(s3c_slice_t method, const s3c_s3_address_t *addr,
    s3c_slice_t query, const s3c_http_header_t *headers, unsigned n)
{
    static s3c_needs_t  needs;
    uint8_t            *more = malloc(query.len + 2);

    memcpy(more, "z&", 2);

    if (query.len > 0) {
        memcpy(more + 2, query.data, query.len);
    }

    if (s3c_access_plan(&needs, method, addr, s3c_slice(more, query.len + 2),
                        headers, n) == S3C_OK)
    {
        require(needs.n > 0 && needs.all[0].action == S3C_ACTION_ADMIN);
    }

    free(more);
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    static const s3c_slice_t  methods[] = {
        S3C_SLICE("GET"), S3C_SLICE("HEAD"), S3C_SLICE("PUT"),
        S3C_SLICE("POST"), S3C_SLICE("DELETE"), S3C_SLICE("PATCH"),
    };
    static s3c_needs_t        needs;
    static s3c_s3_address_t   addr;

    unsigned           n = 0;
    s3c_slice_t        rest, line, method, query = S3C_SLICE_NONE;
    s3c_s3_error_t     err;
    s3c_http_header_t  headers[HEADERS];

    if (len == 0) {
        return 0;
    }

    method = methods[in[0] % (sizeof(methods) / sizeof(methods[0]))];
    rest = s3c_slice(in + 1, len - 1);

    if (!next_line(&rest, &line)
        || s3c_s3_address_parse(&addr, S3C_SLICE_NONE, line, NULL, 0, &err)
           != S3C_OK)
    {
        return 0;
    }

    (void) next_line(&rest, &query);

    while (n < HEADERS && next_line(&rest, &line)) {
        const uint8_t  *colon = memchr(line.data, ':', line.len);

        if (colon != NULL) {
            headers[n].name = s3c_slice(line.data,
                                        (size_t) (colon - line.data));
            headers[n].value = s3c_slice(colon + 1,
                                         line.len - headers[n].name.len - 1);
            n++;
        }
    }

    if (s3c_access_plan(&needs, method, &addr, query, headers, n) == S3C_OK) {
        require(needs.n > 0);
        check(&needs, &addr);
    }

    check_unknown(method, &addr, query, headers, n);

    return 0;
}
