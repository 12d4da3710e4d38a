/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys by value, the time at which they end, and when to ask for new ones.
 */
#include "auth/origin_keys.h"

#include "base/digest.h"

#define KEYS_RETRY_MAX_MS  30000u
#define KEYS_LEAST_MS      1000u


/* Goes into a header, or is signed beside others: visible ASCII only. */
static bool
keys_is_visible(s3c_slice_t s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f) {
            return false;
        }
    }

    return s.len <= max;
}


s3c_status_t
s3c_origin_keys_set(s3c_origin_keys_t *keys, s3c_slice_t access_key,
    s3c_slice_t secret_key, s3c_slice_t session_token, int64_t expires)
{
    s3c_digest_wipe(keys, sizeof(*keys));

    /* '/' parts the access key from its scope in a signature */
    if (access_key.len == 0 || secret_key.len == 0
        || !keys_is_visible(access_key, S3C_ORIGIN_KEYS_ACCESS_MAX)
        || !keys_is_visible(secret_key, S3C_ORIGIN_KEYS_SECRET_MAX)
        || !keys_is_visible(session_token, S3C_ORIGIN_KEYS_TOKEN_MAX)
        || memchr(access_key.data, '/', access_key.len) != NULL)
    {
        return S3C_INVALID;
    }

    memcpy(keys->access_key, access_key.data, access_key.len);
    memcpy(keys->secret_key, secret_key.data, secret_key.len);

    if (session_token.len > 0) {
        memcpy(keys->session_token, session_token.data, session_token.len);
    }

    keys->access_key_len = (uint32_t) access_key.len;
    keys->secret_key_len = (uint32_t) secret_key.len;
    keys->session_token_len = (uint32_t) session_token.len;
    keys->expires = expires;

    return S3C_OK;
}


bool
s3c_origin_keys_eq(const s3c_origin_keys_t *a, const s3c_origin_keys_t *b)
{
    return a->expires == b->expires
           && s3c_slice_eq(s3c_origin_keys_access(a),
                           s3c_origin_keys_access(b))
           && s3c_slice_eq(s3c_origin_keys_secret(a),
                           s3c_origin_keys_secret(b))
           && s3c_slice_eq(s3c_origin_keys_token(a),
                           s3c_origin_keys_token(b));
}


/* n digits at p, at most `max`; -1: they are not. */
static int
keys_digits(const uint8_t *p, unsigned n, int max)
{
    int  v = 0;

    for (unsigned i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        v = v * 10 + (p[i] - '0');
    }

    return v <= max ? v : -1;
}


static int
keys_month_days(int year, int month)
{
    static const uint8_t  days[12] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    return month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
           ? 29 : days[month - 1];
}


/* Days since 1970 of a date from 1970 on. */
static int64_t
keys_days(int year, int month, int day)
{
    int64_t  y = year - 1970, n = y * 365 + day - 1;

    /* leap days of the years before this one */
    n += (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400
         - (1969 / 4 - 1969 / 100 + 1969 / 400);

    for (int m = 1; m < month; m++) {
        n += keys_month_days(year, m);
    }

    return n;
}


s3c_status_t
s3c_origin_keys_time(s3c_slice_t text, int64_t *sec)
{
    int             year, month, day, hour, minute, second;
    size_t          i = 19;
    const uint8_t  *p = text.data;

    if (text.len < 20 || p[4] != '-' || p[7] != '-' || p[10] != 'T'
        || p[13] != ':' || p[16] != ':')
    {
        return S3C_INVALID;
    }

    year = keys_digits(p, 4, 9999);
    month = keys_digits(p + 5, 2, 12);
    day = keys_digits(p + 8, 2, 31);
    hour = keys_digits(p + 11, 2, 23);
    minute = keys_digits(p + 14, 2, 59);
    second = keys_digits(p + 17, 2, 60);

    if (year < 1970 || month < 1 || day < 1
        || day > keys_month_days(year, month)
        || hour < 0 || minute < 0 || second < 0)
    {
        return S3C_INVALID;
    }

    if (p[i] == '.') {
        size_t  first = ++i;

        while (i < text.len && p[i] >= '0' && p[i] <= '9') {
            i++;
        }

        if (i == first) {
            return S3C_INVALID;
        }
    }

    if (i + 1 != text.len || p[i] != 'Z') {
        return S3C_INVALID;
    }

    *sec = (keys_days(year, month, day) * 24 + hour) * 3600 + minute * 60
           + second;

    return S3C_OK;
}


uint64_t
s3c_origin_keys_refresh_ms(int64_t now, int64_t expires, uint32_t chance)
{
    uint64_t  left, ahead;

    if (expires <= now) {
        return KEYS_LEAST_MS;
    }

    left = (uint64_t) (expires - now) * 1000;
    ahead = left / 2;

    if (ahead > S3C_ORIGIN_KEYS_AHEAD * 1000u) {
        ahead = S3C_ORIGIN_KEYS_AHEAD * 1000u;
    }

    ahead += (ahead / 5) * (uint64_t) chance >> 32;
    left -= ahead;

    return left > KEYS_LEAST_MS ? left : KEYS_LEAST_MS;
}


uint64_t
s3c_origin_keys_retry_ms(unsigned failed, uint32_t chance)
{
    uint64_t  ms = KEYS_LEAST_MS;

    while (failed-- > 1 && ms < KEYS_RETRY_MAX_MS) {
        ms *= 2;
    }

    if (ms > KEYS_RETRY_MAX_MS) {
        ms = KEYS_RETRY_MAX_MS;
    }

    return ms - ((ms / 4) * (uint64_t) chance >> 32);
}
