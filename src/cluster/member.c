/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a member. One pass over the words of a value; what is printed is
 * checked by the same functions as what is read.
 */
#include "cluster/member.h"

#include <arpa/inet.h>

#define VERSION      S3C_SLICE("s3c1")
#define WORD_WEIGHT  S3C_SLICE("weight=")
#define WORD_ZONE    S3C_SLICE("zone=")
#define WORD_ID      S3C_SLICE("id=")


/* In the order of the states. */
static const s3c_slice_t  states[] = {
    S3C_SLICE_NONE,
    { (const uint8_t *) "joining", 7 },
    { (const uint8_t *) "ready", 5 },
    { (const uint8_t *) "leaving", 7 },
};


const char *
s3c_member_state_name(s3c_member_state_t state)
{
    if (state < S3C_MEMBER_JOINING || state > S3C_MEMBER_LEAVING) {
        return "unknown";
    }

    return (const char *) states[state].data;
}


static bool
printable(s3c_slice_t s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f) {
            return false;
        }
    }

    return s.len > 0 && s.len <= max;
}


static bool
hex(s3c_slice_t s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t  c = s.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')
              || (c >= 'A' && c <= 'F')))
        {
            return false;
        }
    }

    return s.len > 0 && s.len <= max;
}


/* Decimal without leading zeros, up to `max`, which is below 10^8. */
static bool
number(s3c_slice_t s, uint32_t max, uint32_t *n)
{
    *n = 0;

    if (s.len == 0 || s.len > 8 || (s.len > 1 && s.data[0] == '0')) {
        return false;
    }

    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }

        *n = *n * 10 + (s.data[i] - '0');
    }

    return *n <= max;
}


/* Numeric, and an address that can be connected. */
static bool
address_ok(s3c_slice_t address)
{
    char             text[S3C_MEMBER_ADDRESS_MAX + 1];
    size_t           colon;
    uint32_t         port;
    s3c_slice_t      host;
    struct in_addr   in;
    struct in6_addr  in6;

    if (!printable(address, S3C_MEMBER_ADDRESS_MAX)) {
        return false;
    }

    for (colon = address.len; colon > 0; colon--) {
        if (address.data[colon - 1] == ':') {
            break;
        }
    }

    if (colon < 2) {
        return false;
    }

    host = s3c_slice(address.data, colon - 1);

    if (!number(s3c_slice(address.data + colon, address.len - colon), 65535,
                &port)
        || port == 0)
    {
        return false;
    }

    if (host.data[0] != '[') {
        memcpy(text, host.data, host.len);
        text[host.len] = '\0';

        return inet_pton(AF_INET, text, &in) == 1
               && in.s_addr != htonl(INADDR_ANY);
    }

    if (host.len < 3 || host.data[host.len - 1] != ']') {
        return false;
    }

    memcpy(text, host.data + 1, host.len - 2);
    text[host.len - 2] = '\0';

    return inet_pton(AF_INET6, text, &in6) == 1
           && !IN6_IS_ADDR_UNSPECIFIED(&in6);
}


/* The next word of a value: there is exactly one space before each but the
 * first. False: no more, or an empty one. */
static bool
word_next(s3c_slice_t *rest, s3c_slice_t *word)
{
    size_t  n = 0;

    while (n < rest->len && rest->data[n] != ' ') {
        n++;
    }

    *word = s3c_slice(rest->data, n);

    if (n < rest->len) {
        n++;                             /* an empty word may follow: refused */

        if (n == rest->len) {
            return false;
        }
    }

    rest->data += n;
    rest->len -= n;

    return printable(*word, S3C_MEMBER_VALUE_MAX);
}


/* Is it `key` and something? */
static bool
word_value(s3c_slice_t word, s3c_slice_t key, s3c_slice_t *value)
{
    if (word.len < key.len || memcmp(word.data, key.data, key.len) != 0) {
        return false;
    }

    *value = s3c_slice(word.data + key.len, word.len - key.len);

    return true;
}


static bool
state_parse(s3c_slice_t word, s3c_member_state_t *state)
{
    for (int i = S3C_MEMBER_JOINING; i <= S3C_MEMBER_LEAVING; i++) {
        if (s3c_slice_eq(word, states[i])) {
            *state = (s3c_member_state_t) i;
            return true;
        }
    }

    return false;
}


/* One of the words behind the state. */
static bool
word_parse(s3c_slice_t word, s3c_member_t *m, bool *weighed)
{
    s3c_slice_t  value;

    if (word_value(word, WORD_WEIGHT, &value)) {
        if (*weighed || !number(value, S3C_RING_WEIGHT_MAX, &m->weight)) {
            return false;
        }

        *weighed = true;
        return true;
    }

    if (word_value(word, WORD_ZONE, &value)) {
        if (m->zone.len > 0 || !printable(value, S3C_RING_ZONE_MAX)) {
            return false;
        }

        m->zone = value;
        return true;
    }

    if (word_value(word, WORD_ID, &value)) {
        if (m->id.len > 0 || !hex(value, S3C_MEMBER_ID_MAX)) {
            return false;
        }

        m->id = value;
    }

    return true;
}


s3c_status_t
s3c_member_parse(s3c_slice_t name, s3c_slice_t value, s3c_member_t *m)
{
    bool         weighed = false;
    s3c_slice_t  rest = value, word;

    memset(m, 0, sizeof(*m));

    m->name = name;
    m->weight = 1;

    if (!printable(name, S3C_RING_NAME_MAX) || value.len == 0
        || value.len > S3C_MEMBER_VALUE_MAX
        || !word_next(&rest, &word) || !s3c_slice_eq(word, VERSION)
        || !word_next(&rest, &m->address) || !address_ok(m->address)
        || !word_next(&rest, &word) || !state_parse(word, &m->state))
    {
        return S3C_INVALID;
    }

    while (rest.len > 0) {
        if (!word_next(&rest, &word) || !word_parse(word, m, &weighed)) {
            return S3C_INVALID;
        }
    }

    return S3C_OK;
}


s3c_status_t
s3c_member_print(s3c_writer_t *w, const s3c_member_t *m)
{
    uint8_t       buf[S3C_MEMBER_VALUE_MAX];
    s3c_writer_t  v;

    if (!printable(m->name, S3C_RING_NAME_MAX) || !address_ok(m->address)
        || m->state < S3C_MEMBER_JOINING || m->state > S3C_MEMBER_LEAVING
        || m->weight > S3C_RING_WEIGHT_MAX
        || (m->zone.len > 0 && !printable(m->zone, S3C_RING_ZONE_MAX))
        || (m->id.len > 0 && !hex(m->id, S3C_MEMBER_ID_MAX)))
    {
        return S3C_INVALID;
    }

    s3c_writer_init(&v, buf, sizeof(buf));

    s3c_write_slice(&v, VERSION);
    s3c_write_byte(&v, ' ');
    s3c_write_slice(&v, m->address);
    s3c_write_byte(&v, ' ');
    s3c_write_slice(&v, states[m->state]);
    s3c_write_byte(&v, ' ');
    s3c_write_slice(&v, WORD_WEIGHT);
    s3c_write_u64(&v, m->weight);

    if (m->zone.len > 0) {
        s3c_write_byte(&v, ' ');
        s3c_write_slice(&v, WORD_ZONE);
        s3c_write_slice(&v, m->zone);
    }

    if (m->id.len > 0) {
        s3c_write_byte(&v, ' ');
        s3c_write_slice(&v, WORD_ID);
        s3c_write_slice(&v, m->id);
    }

    /* the limits of its parts leave it below S3C_MEMBER_VALUE_MAX */

    if (!s3c_writer_ok(w)
        || s3c_writer_room(w) < s3c_writer_slice(&v).len)
    {
        return S3C_FULL;
    }

    s3c_write_slice(w, s3c_writer_slice(&v));

    return S3C_OK;
}


s3c_status_t
s3c_member_next(s3c_slice_t *rest, s3c_member_t *m)
{
    s3c_slice_t     name, value;
    const uint8_t  *end, *space;

    if (rest->len == 0) {
        return S3C_MISS;
    }

    end = memchr(rest->data, '\n', rest->len);

    if (end == NULL) {
        return S3C_INVALID;
    }

    space = memchr(rest->data, ' ', (size_t) (end - rest->data));

    if (space == NULL) {
        return S3C_INVALID;
    }

    name = s3c_slice(rest->data, (size_t) (space - rest->data));
    value = s3c_slice(space + 1, (size_t) (end - space - 1));

    rest->len -= (size_t) (end + 1 - rest->data);
    rest->data = end + 1;

    return s3c_member_parse(name, value, m);
}
