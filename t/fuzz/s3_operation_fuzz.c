/* SPDX-License-Identifier: Apache-2.0
 *
 * Query and header lines, parted by LF; the first byte chooses the method and
 * whether there is a key. What may be looked up has no other meaning.
 */
#include <stdlib.h>

#include "s3/s3_operation.h"

#define HEADERS_MAX  8

static const char *const  methods[] = { "GET", "HEAD", "PUT", "OPTIONS" };


static s3c_slice_t
take_line(s3c_slice_t *rest)
{
    const uint8_t  *lf = rest->len ? memchr(rest->data, '\n', rest->len)
                                   : NULL;
    size_t          n = lf ? (size_t) (lf - rest->data) : rest->len;
    s3c_slice_t     line = s3c_slice(rest->data, n);

    n += lf ? 1 : 0;
    rest->data += n;
    rest->len -= n;

    return line;
}


static void
check_value(const s3c_s3_operation_t *op, s3c_slice_t s)
{
    if (s.data == NULL) {
        return;
    }

    if (s.data < op->buf || s.data + s.len > op->buf + sizeof(op->buf)) {
        abort();
    }

    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == 0x7f) {
            abort();
        }
    }
}


static void
check_operation(const s3c_s3_operation_t *op)
{
    if ((op->kind == S3C_OP_GET_OBJECT && op->pass != S3C_PASS_NOT)
        || (op->kind == S3C_OP_PASS_READ && op->pass == S3C_PASS_NOT)
        || (op->has_overrides && !op->has_credentials)
        || op->part_number > 10000)
    {
        abort();
    }

    if (op->is_list && (op->pass != S3C_PASS_LIST || op->head)) {
        abort();
    }

    check_value(op, op->version_id);
    check_value(op, op->page);

    for (unsigned i = 0; i < S3C_S3_OVERRIDES; i++) {
        check_value(op, op->overrides[i]);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    unsigned            n = 0;
    const char         *message, *method;
    s3c_slice_t         rest, query;
    s3c_status_t        st;
    s3c_s3_error_t      err;
    s3c_http_header_t   headers[HEADERS_MAX];
    s3c_s3_address_t    addr = { .bucket = S3C_SLICE("bucket") };
    s3c_s3_operation_t  op;

    if (len < 1) {
        return 0;
    }

    method = methods[in[0] & 3];
    addr.key = in[0] & 4 ? S3C_SLICE_NONE : S3C_SLICE("key");
    rest = s3c_slice(in + 1, len - 1);
    query = take_line(&rest);

    while (n < HEADERS_MAX && rest.len > 0) {
        s3c_slice_t     line = take_line(&rest);
        const uint8_t  *colon = line.len ? memchr(line.data, ':', line.len)
                                         : NULL;

        if (colon != NULL) {
            headers[n].name = s3c_slice(line.data,
                                        (size_t) (colon - line.data));
            headers[n].value = s3c_slice(colon + 1,
                                         line.len - headers[n].name.len - 1);
            n++;
        }
    }

    st = s3c_s3_operation_parse(&op, s3c_slice(method, strlen(method)), query,
                                &addr, headers, n, &err, &message);

    if ((st == S3C_OK) != (err == S3C_ERR_NONE)) {
        abort();
    }

    if (st == S3C_OK) {
        check_operation(&op);
    }

    return 0;
}
