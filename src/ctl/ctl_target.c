/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict: what could be read in two ways is refused, since a purge goes by it.
 */
#include "ctl/ctl_target.h"

#include "base/writer.h"


static bool
target_skip(s3c_slice_t *text, s3c_slice_t word)
{
    if (!s3c_slice_starts_nocase(*text, word)) {
        return false;
    }

    text->data += word.len;
    text->len -= word.len;

    return true;
}


s3c_status_t
ctl_target_parse(ctl_target_t *target, s3c_slice_t text, const char **why)
{
    const uint8_t  *slash;

    *why = NULL;
    target->key = S3C_SLICE_NONE;

    if (!target_skip(&text, S3C_SLICE("s3://"))) {
        *why = "s3://bucket/key is needed";
        return S3C_INVALID;
    }

    slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    target->bucket = text;

    if (slash != NULL) {
        target->bucket.len = (size_t) (slash - text.data);
        target->key = s3c_slice(slash + 1,
                                text.len - target->bucket.len - 1);
    }

    if (target->bucket.len == 0) {
        *why = "the name of a bucket is missing";

    } else if (target->bucket.len > CTL_BUCKET_MAX) {
        *why = "the name of the bucket is too long";

    } else if (target->key.len > CTL_KEY_MAX) {
        *why = "the key is too long";
    }

    for (size_t i = 0; i < target->bucket.len && *why == NULL; i++) {
        uint8_t  c = target->bucket.data[i];

        if (c <= ' ' || c >= 0x7f || c == '%' || c == '?' || c == '#') {
            *why = "the name of a bucket holds no such character";
        }
    }

    return *why == NULL ? S3C_OK : S3C_INVALID;
}


static s3c_status_t
endpoint_socket(ctl_endpoint_t *at, s3c_slice_t path, const char **why)
{
    if (path.len == 0 || path.data[0] != '/') {
        *why = "unix: needs a path that begins with a slash";
        return S3C_INVALID;
    }

    if (path.len > CTL_SOCKET_MAX || memchr(path.data, 0, path.len) != NULL) {
        *why = "the path of the socket is too long";
        return S3C_INVALID;
    }

    memcpy(at->socket, path.data, path.len);
    memcpy(at->host, "localhost", sizeof("localhost"));

    return S3C_OK;
}


/* The digits behind a colon, or -1. */
static int
endpoint_port(s3c_slice_t digits)
{
    int  port = 0;

    if (digits.len == 0 || digits.len > 5) {
        return -1;
    }

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return -1;
        }

        port = port * 10 + (digits.data[i] - '0');
    }

    return port > 0 && port < 65536 ? port : -1;
}


/* Letters, digits, dots, '-', '_'; within brackets also colons. */
static bool
endpoint_is_name(s3c_slice_t name)
{
    bool  literal = name.len > 2 && name.data[0] == '['
                    && name.data[name.len - 1] == ']';

    if (literal) {
        name = s3c_slice(name.data + 1, name.len - 2);
    }

    for (size_t i = 0; i < name.len; i++) {
        uint8_t  c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.'
              || (literal ? c == ':' : c == '-' || c == '_')))
        {
            return false;
        }
    }

    return name.len > 0;
}


static s3c_status_t
endpoint_host(ctl_endpoint_t *at, s3c_slice_t text, const char **why)
{
    int           port = at->tls ? 443 : 80;
    size_t        cut = text.len;
    s3c_writer_t  w;

    while (cut > 0 && text.data[cut - 1] != ':' && text.data[cut - 1] != ']') {
        cut--;
    }

    if (cut > 0 && text.data[cut - 1] == ':') {
        port = endpoint_port(s3c_slice(text.data + cut, text.len - cut));
        text.len = cut - 1;
    }

    if (port < 0 || !endpoint_is_name(text)) {
        *why = "http://host:port, https://host:port or unix:/path is needed, "
               "without a user, a path or a query";
        return S3C_INVALID;
    }

    s3c_writer_init(&w, at->host, CTL_HOST_MAX);
    s3c_write_slice(&w, text);

    if (port != (at->tls ? 443 : 80)) {
        s3c_write_byte(&w, ':');
        s3c_write_u64(&w, (uint64_t) port);
    }

    if (!s3c_writer_ok(&w)) {
        *why = "the name of the host is too long";
        return S3C_INVALID;
    }

    *w.pos = '\0';

    return S3C_OK;
}


s3c_status_t
ctl_endpoint_parse(ctl_endpoint_t *at, s3c_slice_t text, const char **why)
{
    *why = NULL;
    memset(at, 0, sizeof(*at));

    if (target_skip(&text, S3C_SLICE("unix:"))) {
        return endpoint_socket(at, text, why);
    }

    at->tls = target_skip(&text, S3C_SLICE("https://"));

    if (!at->tls && !target_skip(&text, S3C_SLICE("http://"))) {
        *why = "it must begin with http://, https:// or unix:/";
        return S3C_INVALID;
    }

    if (text.len > 0 && text.data[text.len - 1] == '/') {
        text.len--;
    }

    return endpoint_host(at, text, why);
}


const char *
ctl_endpoint_name(const ctl_endpoint_t *at)
{
    return at->socket[0] != '\0' ? at->socket : at->host;
}
