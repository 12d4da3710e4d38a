/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and path to bucket and key. Both are decoded exactly once into the
 * address's own buffer; no dot, slash or case of a key is ever touched.
 * A bucket from the Host header is lower-cased, because hosts have no case.
 */
#include "s3/s3_address.h"

#include <sys/types.h>

#include "s3/s3_uri.h"
#include "s3/s3_utf8.h"

#define ADDRESS_BUCKET_BYTES_MIN  3


/* "Bucket.Example.com.:8080" -> "Bucket.Example.com" */
static s3c_slice_t
address_host_name(s3c_slice_t host)
{
    size_t  n = host.len;

    while (n > 0 && host.data[n - 1] >= '0' && host.data[n - 1] <= '9') {
        n--;
    }

    if (n > 0 && host.data[n - 1] == ':') {
        host.len = n - 1;
    }

    if (host.len > 0 && host.data[host.len - 1] == '.') {
        host.len--;
    }

    return host;
}


/* Bytes of `host` before "." and the domain; 0 when it is the domain itself;
 * -1 when the host is not under it. */
static ssize_t
address_prefix(s3c_slice_t host, s3c_slice_t domain)
{
    size_t  n;

    if (domain.len == 0 || host.len < domain.len) {
        return -1;
    }

    n = host.len - domain.len;

    if (!s3c_slice_eq_nocase(s3c_slice(host.data + n, domain.len), domain)) {
        return -1;
    }

    if (n == 0) {
        return 0;
    }

    return n > 1 && host.data[n - 1] == '.' ? (ssize_t) n - 1 : -1;
}


/* The part of the host that names a bucket; empty: path style. */
static s3c_slice_t
address_vhost_bucket(s3c_slice_t host, const s3c_slice_t *domains,
    unsigned n_domains)
{
    size_t       longest = 0;
    ssize_t      n;
    s3c_slice_t  bucket = S3C_SLICE_NONE;

    host = address_host_name(host);

    for (unsigned i = 0; i < n_domains; i++) {
        n = address_prefix(host, domains[i]);

        if (n >= 0 && domains[i].len > longest) {
            longest = domains[i].len;
            bucket = s3c_slice(host.data, (size_t) n);
        }
    }

    return bucket;
}


static bool
address_bucket_is_valid(s3c_slice_t bucket)
{
    if (bucket.len < ADDRESS_BUCKET_BYTES_MIN
        || bucket.len > S3C_S3_BUCKET_BYTES_MAX)
    {
        return false;
    }

    for (size_t i = 0; i < bucket.len; i++) {
        uint8_t  c = bucket.data[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
              || (c >= '0' && c <= '9')
              || c == '.' || c == '_' || c == '-'))
        {
            return false;
        }
    }

    return true;
}


static bool
address_key_is_valid(s3c_slice_t key)
{
    size_t    n;
    uint32_t  cp;
    uint64_t  eight;

    for (size_t i = 0; i < key.len; i += n) {
        n = sizeof(eight);

        if (key.len - i >= n) {
            memcpy(&eight, key.data + i, n);

            /* 1..127 all of them: subtracting 1 borrows no top bit */
            if (((eight | (eight - 0x0101010101010101)) & 0x8080808080808080)
                == 0)
            {
                continue;
            }
        }

        n = s3c_s3_utf8_step(key, i, &cp);

        if (n == 0 || cp == 0) {
            return false;
        }
    }

    return true;
}


/* Fills the bucket from the host or from the first segment of *path, and
 * leaves in *path what follows the '/' after it. */
static s3c_s3_error_t
address_take_bucket(s3c_s3_address_t *addr, s3c_slice_t vhost,
    s3c_slice_t *path)
{
    size_t         n;
    s3c_writer_t   w;
    const uint8_t *slash;

    path->data++;                          /* the leading '/' */
    path->len--;

    s3c_writer_init(&w, addr->buf, S3C_S3_BUCKET_BYTES_MAX);

    if (vhost.len > 0) {
        for (size_t i = 0; i < vhost.len; i++) {
            uint8_t  c = vhost.data[i];

            s3c_write_byte(&w, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }

        addr->vhost = true;

    } else {
        if (path->len == 0) {
            return S3C_ERR_NONE;           /* the service itself */
        }

        slash = memchr(path->data, '/', path->len);
        n = slash ? (size_t) (slash - path->data) : path->len;

        if (s3c_uri_decode(&w, s3c_slice(path->data, n), false) != S3C_OK) {
            return S3C_ERR_INVALID_URI;
        }

        n += slash ? 1 : 0;
        path->data += n;
        path->len -= n;
    }

    if (!s3c_writer_ok(&w) || !address_bucket_is_valid(s3c_writer_slice(&w))) {
        return S3C_ERR_INVALID_BUCKET_NAME;
    }

    addr->bucket = s3c_writer_slice(&w);

    return S3C_ERR_NONE;
}


static s3c_s3_error_t
address_take_key(s3c_s3_address_t *addr, s3c_slice_t path)
{
    s3c_slice_t   key;
    s3c_writer_t  w;

    s3c_writer_init(&w, addr->buf + S3C_S3_BUCKET_BYTES_MAX,
                    S3C_S3_KEY_BYTES_MAX);

    if (s3c_uri_decode(&w, path, false) != S3C_OK) {
        return S3C_ERR_INVALID_URI;
    }

    if (!s3c_writer_ok(&w)) {
        return S3C_ERR_KEY_TOO_LONG;
    }

    key = s3c_writer_slice(&w);

    if (!address_key_is_valid(key)) {
        return S3C_ERR_INVALID_URI;
    }

    addr->key = key;

    return S3C_ERR_NONE;
}


s3c_status_t
s3c_s3_address_parse(s3c_s3_address_t *addr, s3c_slice_t host,
    s3c_slice_t path, const s3c_slice_t *domains, unsigned n_domains,
    s3c_s3_error_t *err)
{
    addr->vhost = false;
    addr->bucket = S3C_SLICE_NONE;
    addr->key = S3C_SLICE_NONE;

    if (path.len == 0 || path.data[0] != '/') {
        *err = S3C_ERR_INVALID_URI;
        return S3C_INVALID;
    }

    *err = address_take_bucket(addr,
                               address_vhost_bucket(host, domains, n_domains),
                               &path);

    if (*err == S3C_ERR_NONE) {
        *err = address_take_key(addr, path);
    }

    return *err == S3C_ERR_NONE ? S3C_OK : S3C_INVALID;
}
