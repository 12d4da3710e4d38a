/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and path, parted by a NUL: what is accepted has one meaning, also when
 * it is written out anew in path style.
 */
#include <stdlib.h>

#include "s3/s3_address.h"
#include "s3/s3_uri.h"

static const s3c_slice_t  domains[] = {
    S3C_SLICE("s3.example.com"), S3C_SLICE("example.com"), S3C_SLICE("h"),
};


static void
check_again(const s3c_s3_address_t *addr)
{
    uint8_t           path[4 * S3C_S3_KEY_BYTES_MAX];
    s3c_writer_t      w;
    s3c_s3_error_t    err;
    s3c_s3_address_t  again;

    s3c_writer_init(&w, path, sizeof(path));
    s3c_write_byte(&w, '/');
    s3c_uri_encode(&w, addr->bucket, false);

    if (addr->bucket.len > 0) {
        s3c_write_byte(&w, '/');
        s3c_uri_encode(&w, addr->key, false);
    }

    if (!s3c_writer_ok(&w)
        || s3c_s3_address_parse(&again, S3C_SLICE_NONE, s3c_writer_slice(&w),
                                domains, 3, &err) != S3C_OK
        || again.vhost
        || !s3c_slice_eq(again.bucket, addr->bucket)
        || !s3c_slice_eq(again.key, addr->key))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
    const uint8_t     *nul = len ? memchr(in, 0, len) : NULL;
    s3c_slice_t        host, path;
    s3c_status_t       st;
    s3c_s3_error_t     err;
    s3c_s3_address_t   addr;

    if (nul == NULL) {
        return 0;
    }

    host = s3c_slice(in, (size_t) (nul - in));
    path = s3c_slice(nul + 1, len - host.len - 1);
    st = s3c_s3_address_parse(&addr, host, path, domains, 3, &err);

    if ((st == S3C_OK) != (err == S3C_ERR_NONE)) {
        abort();
    }

    if (st != S3C_OK) {
        return 0;
    }

    if (addr.key.len > S3C_S3_KEY_BYTES_MAX
        || addr.bucket.len > S3C_S3_BUCKET_BYTES_MAX
        || (addr.bucket.len == 0 && addr.key.len > 0)
        || (addr.key.len > 0 && memchr(addr.key.data, 0, addr.key.len))
        || (addr.bucket.len > 0
            && memchr(addr.bucket.data, '/', addr.bucket.len)))
    {
        abort();
    }

    check_again(&addr);

    return 0;
}
