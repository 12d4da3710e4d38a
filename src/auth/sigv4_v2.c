/* SPDX-License-Identifier: Apache-2.0
 *
 * Presigned reads by SigV2 (AWS "Signing and Authenticating REST Requests",
 * "Query String Request Authentication Alternative"), which boto3, aws-cli v1
 * and s3cmd still make. SigV2 signs the sub-resources of a list and no other
 * parameter: what is not on the list is refused, or whoever has a link could
 * make another operation of it. x-amz-* parameters are signed as headers.
 *
 * LIMITS: V2_PARTS_MAX headers or parameters that are signed.
 */
#include "auth/sigv4_parse.h"

#include "base/digest.h"
#include "http/http_text.h"
#include "s3/s3_query.h"

#define V2_PARTS_MAX     64
#define V2_STRING_MAX    16384
#define V2_BASE64_BYTES  28              /* of 20 bytes */

typedef struct {
    s3c_slice_t  name;                   /* decoded */
    s3c_slice_t  value;
    bool         is_amz;                 /* names have no case */
    bool         in_query;
} v2_part_t;

/* In the order in which they are signed. */
typedef struct {
    unsigned   n;
    v2_part_t  parts[V2_PARTS_MAX];
} v2_parts_t;

typedef struct {
    v2_parts_t  amz;                     /* x-amz-* */
    v2_parts_t  subs;                    /* sub-resources */
} v2_signed_t;

/* What is signed as a part of the resource: the union of the lists of AWS,
 * botocore and Ceph. */
static const s3c_slice_t  v2_listed[] = {
    S3C_SLICE("accelerate"), S3C_SLICE("acl"), S3C_SLICE("analytics"),
    S3C_SLICE("cors"), S3C_SLICE("defaultObjectAcl"), S3C_SLICE("delete"),
    S3C_SLICE("encryption"), S3C_SLICE("inventory"), S3C_SLICE("lifecycle"),
    S3C_SLICE("location"), S3C_SLICE("logging"), S3C_SLICE("metrics"),
    S3C_SLICE("notification"), S3C_SLICE("object-lock"),
    S3C_SLICE("partNumber"), S3C_SLICE("policy"), S3C_SLICE("policyStatus"),
    S3C_SLICE("publicAccessBlock"), S3C_SLICE("replication"),
    S3C_SLICE("requestPayment"), S3C_SLICE("response-cache-control"),
    S3C_SLICE("response-content-disposition"),
    S3C_SLICE("response-content-encoding"),
    S3C_SLICE("response-content-language"), S3C_SLICE("response-content-type"),
    S3C_SLICE("response-expires"), S3C_SLICE("restore"), S3C_SLICE("select"),
    S3C_SLICE("select-type"), S3C_SLICE("storageClass"), S3C_SLICE("tagging"),
    S3C_SLICE("torrent"), S3C_SLICE("uploadId"), S3C_SLICE("uploads"),
    S3C_SLICE("versionId"), S3C_SLICE("versioning"), S3C_SLICE("versions"),
    S3C_SLICE("website"),
};


/* Seconds since 1970; false: no number, or one beyond all time. */
static bool
v2_number(s3c_slice_t text, int64_t *sec)
{
    *sec = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == 12) {
            return false;
        }

        *sec = *sec * 10 + (text.data[i] - '0');
    }

    return text.len > 0;
}


static s3c_status_t
v2_time(s3c_sigv4_parse_t *p)
{
    int64_t             now = p->wire->now_sec;
    s3c_status_t        st;
    s3c_sigv4_claim_t  *claim = p->claim;

    if (!v2_number(claim->expires_v2, &claim->end_sec)) {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "Invalid date (should be seconds since epoch)");
    }

    st = s3c_sigv4_check_expiry(p);

    if (st != S3C_OK) {
        return st;
    }

    /* nobody knows when it was signed: what is left may not be too much */
    if (claim->end_sec - now > p->rules->presigned_max_sec) {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "Expires is further ahead than this endpoint allows");
    }

    return S3C_OK;
}


s3c_status_t
s3c_sigv4_parse_presigned_v2(s3c_sigv4_parse_t *p)
{
    unsigned            three;
    s3c_slice_t         method = p->wire->method;
    s3c_sigv4_claim_t  *claim = p->claim;

    claim->kind = S3C_SIGNED_QUERY_V2;
    claim->payload = S3C_PAYLOAD_UNSIGNED;

    if (!p->rules->allow_v2_presigned
        || !(s3c_slice_eq(method, S3C_SLICE("GET"))
             || s3c_slice_eq(method, S3C_SLICE("HEAD"))))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST,
            "The authorization mechanism you have provided is not supported. "
            "Please use AWS4-HMAC-SHA256.");
    }

    three = S3C_SIGV4_BIT(S3C_SIGV4_P_V2_ACCESS_KEY)
            | S3C_SIGV4_BIT(S3C_SIGV4_P_V2_EXPIRES)
            | S3C_SIGV4_BIT(S3C_SIGV4_P_V2_SIGNATURE);

    if ((p->params_seen & three) != three
        || !s3c_sigv4_decode(claim, p->params[S3C_SIGV4_P_V2_ACCESS_KEY],
                             &claim->access_key)
        || !s3c_sigv4_decode(claim, p->params[S3C_SIGV4_P_V2_EXPIRES],
                             &claim->expires_v2)
        || !s3c_sigv4_decode(claim, p->params[S3C_SIGV4_P_V2_SIGNATURE],
                             &claim->signature_v2)
        || !s3c_sigv4_access_key_is_valid(claim->access_key))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "Query-string authentication requires the Signature, Expires and "
            "AWSAccessKeyId parameters");
    }

    return v2_time(p);
}


static bool
v2_is_listed(s3c_slice_t name)
{
    for (size_t i = 0; i < sizeof(v2_listed) / sizeof(v2_listed[0]); i++) {
        if (s3c_slice_eq(name, v2_listed[i])) {
            return true;
        }
    }

    return false;
}


/* Values are signed decoded: "a%26versionId%3D1" as a value and "a" with a
 * versionId behind it would be the same text. */
static bool
v2_value_is_plain(s3c_slice_t value)
{
    for (size_t i = 0; i < value.len; i++) {
        size_t  n = 0;

        if (value.data[i] < ' ' || value.data[i] == 0x7f) {
            return false;
        }

        if (value.data[i] != '&') {
            continue;
        }

        while (i + 1 + n < value.len && value.data[i + 1 + n] != '='
               && value.data[i + 1 + n] != '&')
        {
            n++;
        }

        if (v2_is_listed(s3c_slice(value.data + i + 1, n))) {
            return false;
        }
    }

    return true;
}


static bool
v2_is_credential(s3c_slice_t name)
{
    return s3c_slice_eq(name, S3C_SLICE("AWSAccessKeyId"))
           || s3c_slice_eq(name, S3C_SLICE("Signature"))
           || s3c_slice_eq(name, S3C_SLICE("Expires"));
}


static int
v2_part_cmp(const v2_part_t *a, const v2_part_t *b)
{
    size_t  n = a->name.len < b->name.len ? a->name.len : b->name.len;

    for (size_t i = 0; i < n; i++) {
        uint8_t  x = a->name.data[i], y = b->name.data[i];

        if (a->is_amz) {
            x = x >= 'A' && x <= 'Z' ? x | 0x20 : x;
            y = y >= 'A' && y <= 'Z' ? y | 0x20 : y;
        }

        if (x != y) {
            return x < y ? -1 : 1;
        }
    }

    return (a->name.len > b->name.len) - (a->name.len < b->name.len);
}


/* Those of one name stay in the order they came. */
static bool
v2_add(v2_parts_t *list, v2_part_t part)
{
    unsigned  i;

    if (list->n == V2_PARTS_MAX) {
        return false;
    }

    for (i = list->n++;
         i > 0 && v2_part_cmp(&list->parts[i - 1], &part) > 0;
         i--)
    {
        list->parts[i] = list->parts[i - 1];
    }

    list->parts[i] = part;

    return true;
}


static bool
v2_is_token(s3c_slice_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!s3c_http_is_token(name.data[i])) {
            return false;
        }
    }

    return true;
}


/* False: a parameter that is not signed, or one that is there twice. */
static bool
v2_gather_query(s3c_slice_t query, s3c_sigv4_claim_t *claim, v2_signed_t *v)
{
    v2_part_t    part = { .in_query = true };
    s3c_slice_t  name, value;

    while (s3c_s3_query_next(&query, &name, &value)) {
        if (!s3c_sigv4_decode(claim, name, &part.name)) {
            return false;
        }

        if (v2_is_credential(part.name)) {
            continue;
        }

        part.is_amz = s3c_sigv4_is_amz(part.name);

        if ((part.is_amz ? !v2_is_token(part.name) : !v2_is_listed(part.name))
            || !s3c_sigv4_decode(claim, value, &part.value)
            || !v2_value_is_plain(part.value)
            || !v2_add(part.is_amz ? &v->amz : &v->subs, part))
        {
            return false;
        }
    }

    for (unsigned i = 1; i < v->subs.n; i++) {
        if (v2_part_cmp(&v->subs.parts[i - 1], &v->subs.parts[i]) == 0) {
            return false;
        }
    }

    return true;
}


/* No header that is in the query, too. */
static bool
v2_gather_headers(const s3c_sigv4_wire_t *wire, v2_signed_t *v)
{
    for (unsigned i = 0; i < wire->n_headers; i++) {
        v2_part_t  part = { .name = wire->headers[i].name, .is_amz = true };

        if (!s3c_sigv4_is_amz(part.name)) {
            continue;
        }

        part.value = s3c_slice_trim(wire->headers[i].value);

        for (unsigned k = 0; k < v->amz.n; k++) {
            if (v->amz.parts[k].in_query
                && v2_part_cmp(&v->amz.parts[k], &part) == 0)
            {
                return false;
            }
        }

        if (!v2_add(&v->amz, part)) {
            return false;
        }
    }

    return true;
}


static s3c_slice_t
v2_header(const s3c_sigv4_wire_t *wire, s3c_slice_t name)
{
    for (unsigned i = 0; i < wire->n_headers; i++) {
        if (s3c_slice_eq_nocase(wire->headers[i].name, name)) {
            return s3c_slice_trim(wire->headers[i].value);
        }
    }

    return S3C_SLICE_NONE;
}


/* "name:value,value" LF for each x-amz-* */
static void
v2_write_headers(s3c_writer_t *w, const v2_parts_t *amz)
{
    for (unsigned i = 0; i < amz->n; i++) {
        const v2_part_t  *part = &amz->parts[i];

        if (i > 0 && v2_part_cmp(part - 1, part) == 0) {
            s3c_write_byte(w, ',');

        } else {
            if (i > 0) {
                s3c_write_byte(w, '\n');
            }

            for (size_t k = 0; k < part->name.len; k++) {
                uint8_t  c = part->name.data[k];

                s3c_write_byte(w, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            }

            s3c_write_byte(w, ':');
        }

        s3c_write_slice(w, part->value);
    }

    if (amz->n > 0) {
        s3c_write_byte(w, '\n');
    }
}


/* The path as it came, behind the bucket of a virtual host. */
static void
v2_write_resource(s3c_writer_t *w, const s3c_sigv4_wire_t *wire,
    const v2_parts_t *subs)
{
    if (wire->vhost_bucket.len > 0) {
        s3c_write_byte(w, '/');
        s3c_write_slice(w, wire->vhost_bucket);
    }

    s3c_write_slice(w, wire->path);

    for (unsigned i = 0; i < subs->n; i++) {
        const v2_part_t  *sub = &subs->parts[i];

        s3c_write_byte(w, i == 0 ? '?' : '&');
        s3c_write_slice(w, sub->name);

        if (sub->value.len > 0) {
            s3c_write_byte(w, '=');
            s3c_write_slice(w, sub->value);
        }
    }
}


static void
v2_base64(const uint8_t mac[S3C_DIGEST_SHA1_BYTES],
    uint8_t out[V2_BASE64_BYTES])
{
    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (unsigned i = 0, k = 0; i < S3C_DIGEST_SHA1_BYTES; i += 3, k += 4) {
        unsigned  v = (unsigned) mac[i] << 16 | (unsigned) mac[i + 1] << 8;

        v |= i + 2 < S3C_DIGEST_SHA1_BYTES ? mac[i + 2] : 0;

        for (unsigned d = 0; d < 4; d++) {
            out[k + d] = (uint8_t) digits[v >> (18 - 6 * d) & 63];
        }
    }

    out[V2_BASE64_BYTES - 1] = '=';
}


s3c_status_t
s3c_sigv4_check_v2(const s3c_sigv4_wire_t *wire, s3c_sigv4_claim_t *claim,
    s3c_slice_t secret)
{
    uint8_t       buf[V2_STRING_MAX], mac[S3C_DIGEST_SHA1_BYTES];
    uint8_t       text[V2_BASE64_BYTES];
    v2_signed_t   v;
    s3c_writer_t  w;

    v.amz.n = 0;
    v.subs.n = 0;

    if (!v2_gather_query(wire->query, claim, &v)
        || !v2_gather_headers(wire, &v))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_ACCESS_DENIED,
            "There were parameters present in the request which were not "
            "signed");
    }

    s3c_writer_init(&w, buf, sizeof(buf));
    s3c_write_slice(&w, wire->method);
    s3c_write_byte(&w, '\n');
    s3c_write_slice(&w, v2_header(wire, S3C_SLICE("content-md5")));
    s3c_write_byte(&w, '\n');
    s3c_write_slice(&w, v2_header(wire, S3C_SLICE("content-type")));
    s3c_write_byte(&w, '\n');
    s3c_write_slice(&w, claim->expires_v2);
    s3c_write_byte(&w, '\n');
    v2_write_headers(&w, &v.amz);
    v2_write_resource(&w, wire, &v.subs);

    if (!s3c_writer_ok(&w)) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INVALID_REQUEST,
                                "The request is too large to be verified.");
    }

    if (s3c_hmac_sha1(secret, s3c_writer_slice(&w), mac) != S3C_OK) {
        return s3c_sigv4_refuse(claim, S3C_ERR_INTERNAL_ERROR, NULL);
    }

    v2_base64(mac, text);

    if (claim->signature_v2.len != sizeof(text)
        || !s3c_digest_eq(claim->signature_v2.data, text, sizeof(text)))
    {
        return s3c_sigv4_refuse(claim, S3C_ERR_SIGNATURE_DOES_NOT_MATCH, NULL);
    }

    claim->host = v2_header(wire, S3C_SLICE("host"));

    return S3C_OK;
}
