/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of src/cluster/wire_hello.c: who knows the secret and is the one who
 * was meant gets the same keys; nobody else gets any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/wire.h"

#define SECRET  S3C_SLICE("a secret of all nodes")
#define ALICE   S3C_SLICE("alice")
#define BOB     S3C_SLICE("bob.example.net")
#define NOW     1800000000000ull

typedef struct {
    size_t   len;
    uint8_t  data[S3C_WIRE_HELLO_TEXT_MAX];
} text_t;

/* A link between both, as far as it got. */
typedef struct {
    s3c_wire_hello_t  client, server;
    text_t            ask, answer;
    s3c_slice_t       name;              /* the client's, at the server */
} link_t;


static s3c_slice_t
slice_of(const text_t *t)
{
    return s3c_slice(t->data, t->len);
}


static s3c_status_t
client_make(link_t *l, s3c_slice_t secret, s3c_slice_t name, s3c_slice_t peer,
    uint64_t now_ms)
{
    s3c_status_t  st;
    s3c_writer_t  w;

    s3c_writer_init(&w, l->ask.data, sizeof(l->ask.data));
    st = s3c_wire_hello_client_make(&l->client, secret, name, peer, now_ms,
                                    &w);
    l->ask.len = s3c_writer_slice(&w).len;

    return st;
}


static s3c_status_t
client_check(link_t *l, s3c_slice_t secret, s3c_slice_t name, uint64_t now_ms)
{
    return s3c_wire_hello_client_check(&l->server, secret, name, now_ms,
                                       slice_of(&l->ask), &l->name);
}


static s3c_status_t
server_make(link_t *l, s3c_slice_t secret, s3c_slice_t name)
{
    s3c_status_t  st;
    s3c_writer_t  w;

    s3c_writer_init(&w, l->answer.data, sizeof(l->answer.data));
    st = s3c_wire_hello_server_make(&l->server, secret, name, &w);
    l->answer.len = s3c_writer_slice(&w).len;

    return st;
}


static s3c_status_t
server_check(link_t *l, s3c_slice_t secret)
{
    return s3c_wire_hello_server_check(&l->client, secret,
                                       slice_of(&l->answer));
}


/* All of it, between Alice and Bob. */
static void
link_make(link_t *l, s3c_slice_t secret)
{
    assert_int_equal(client_make(l, secret, ALICE, BOB, NOW), S3C_OK);
    assert_int_equal(client_check(l, secret, BOB, NOW), S3C_OK);
    assert_int_equal(server_make(l, secret, BOB), S3C_OK);
    assert_int_equal(server_check(l, secret), S3C_OK);
}


static s3c_wire_keys_t
keys_of(s3c_wire_hello_t *h, s3c_slice_t secret)
{
    s3c_wire_keys_t  keys;

    assert_int_equal(s3c_wire_hello_keys(h, secret, &keys), S3C_OK);

    return keys;
}


static size_t
unhex(const text_t *t, uint8_t *out)
{
    for (size_t i = 0; i < t->len; i++) {
        uint8_t  c = t->data[i];
        uint8_t  v = (uint8_t) (c <= '9' ? c - '0' : c - 'a' + 10);

        out[i / 2] = (uint8_t) (i % 2 == 0 ? v << 4 : out[i / 2] | v);
    }

    return t->len / 2;
}


/* The text of `n` bytes that somebody made up, with the MAC that is right for
 * them behind `label` and `before`. */
static void
forge(text_t *t, s3c_slice_t secret, const char *label, s3c_slice_t before,
    const uint8_t *bytes, size_t n)
{
    uint8_t       mac[32], all[2048] = { 0 };
    size_t        at = S3C_WIRE_LABEL_BYTES;
    s3c_writer_t  w;

    memcpy(all, label, strlen(label));

    if (before.len > 0) {
        memcpy(all + at, before.data, before.len);
        at += before.len;
    }

    memcpy(all + at, bytes, n);
    at += n;
    assert_int_equal(s3c_hmac_sha256(secret, s3c_slice(all, at), mac),
                     S3C_OK);

    s3c_writer_init(&w, t->data, sizeof(t->data));
    s3c_write_hex(&w, bytes, n);
    s3c_write_hex(&w, mac, sizeof(mac));
    assert_true(s3c_writer_ok(&w));
    t->len = s3c_writer_slice(&w).len;
}


static void
both_ends_get_the_same_keys(void **state)
{
    link_t           l;
    s3c_slice_t      secrets[] = { SECRET, S3C_SLICE_NONE };
    s3c_wire_keys_t  a, b;

    (void) state;

    for (size_t i = 0; i < 2; i++) {
        link_make(&l, secrets[i]);
        assert_true(s3c_slice_eq(l.name, ALICE));
        a = keys_of(&l.client, secrets[i]);
        b = keys_of(&l.server, secrets[i]);
        assert_memory_equal(&a, &b, sizeof(a));
        assert_memory_not_equal(a.client, a.server, sizeof(a.client));
    }
}


static void
a_hello_is_the_bytes_that_the_header_says(void **state)
{
    link_t                  l;
    size_t                  n, m;
    uint8_t                 bytes[S3C_WIRE_CLIENT_MAX];
    uint8_t                 answer[S3C_WIRE_SERVER_MAX];
    uint8_t                 all[16 + sizeof(bytes) + sizeof(answer)], mac[32];
    text_t                  want;
    s3c_wire_keys_t         keys;
    s3c_wire_client_rec_t   rec;
    s3c_wire_server_rec_t   back;

    (void) state;
    link_make(&l, SECRET);

    n = unhex(&l.ask, bytes);
    memcpy(&rec, bytes, sizeof(rec));
    assert_int_equal(n, 32 + 5 + 15 + 32);
    assert_int_equal(rec.version, 1);
    assert_int_equal(rec.time_ms, NOW);
    assert_memory_equal(bytes + 32, "alicebob.example.net", 20);
    forge(&want, SECRET, "s3c client", S3C_SLICE_NONE, bytes, n - 32);
    assert_true(s3c_slice_eq(slice_of(&want), slice_of(&l.ask)));

    m = unhex(&l.answer, answer);
    memcpy(&back, answer, sizeof(back));
    assert_int_equal(m, 24 + 15 + 32);
    assert_int_equal(back.version, 1);
    assert_memory_equal(answer + 24, "bob.example.net", 15);
    forge(&want, SECRET, "s3c server", s3c_slice(bytes, n), answer, m - 32);
    assert_true(s3c_slice_eq(slice_of(&want), slice_of(&l.answer)));

    keys = keys_of(&l.client, SECRET);
    memcpy(all + 16, bytes, n);
    memcpy(all + 16 + n, answer, m);
    memcpy(all, "s3c client key\0", 16);
    assert_int_equal(s3c_hmac_sha256(SECRET, s3c_slice(all, 16 + n + m), mac),
                     S3C_OK);
    assert_memory_equal(keys.client, mac, 16);
    memcpy(all, "s3c server key\0", 16);
    assert_int_equal(s3c_hmac_sha256(SECRET, s3c_slice(all, 16 + n + m), mac),
                     S3C_OK);
    assert_memory_equal(keys.server, mac, 16);
}


static void
names_may_have_any_length_up_to_the_limit(void **state)
{
    link_t   l;
    uint8_t  long_name[256], other[255];

    (void) state;
    memset(long_name, 0xff, sizeof(long_name));
    memset(other, 0, sizeof(other));

    for (size_t n = 1; n <= 255; n += n == 1 ? 253 : 1) {
        s3c_slice_t  a = s3c_slice(long_name, n), b = s3c_slice(other, 255);

        assert_int_equal(client_make(&l, SECRET, a, b, NOW), S3C_OK);
        assert_int_equal(client_check(&l, SECRET, b, NOW), S3C_OK);
        assert_true(s3c_slice_eq(l.name, a));
        assert_int_equal(server_make(&l, SECRET, b), S3C_OK);
        assert_int_equal(server_check(&l, SECRET), S3C_OK);
    }

    assert_int_equal(l.ask.len, S3C_WIRE_HELLO_TEXT_MAX);
    assert_int_equal(client_make(&l, SECRET, s3c_slice(long_name, 256), BOB,
                                 NOW), S3C_INVALID);
    assert_int_equal(client_make(&l, SECRET, ALICE, s3c_slice(long_name, 256),
                                 NOW), S3C_INVALID);
    assert_int_equal(client_make(&l, SECRET, S3C_SLICE_NONE, BOB, NOW),
                     S3C_INVALID);
    assert_int_equal(client_make(&l, SECRET, ALICE, S3C_SLICE_NONE, NOW),
                     S3C_INVALID);
    link_make(&l, SECRET);
    assert_int_equal(server_make(&l, SECRET, S3C_SLICE_NONE), S3C_INVALID);
    assert_int_equal(server_make(&l, SECRET, s3c_slice(long_name, 256)),
                     S3C_INVALID);
}


static void
a_text_without_room_is_full(void **state)
{
    link_t        l;
    uint8_t       buf[100];
    s3c_writer_t  w;

    (void) state;
    link_make(&l, SECRET);
    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_wire_hello_client_make(&l.client, SECRET, ALICE, BOB,
                                                NOW, &w), S3C_FULL);
    s3c_writer_init(&w, buf, sizeof(buf));
    assert_int_equal(s3c_wire_hello_server_make(&l.server, SECRET, BOB, &w),
                     S3C_FULL);
}


static void
another_secret_is_denied(void **state)
{
    link_t       l;
    s3c_slice_t  others[] = { S3C_SLICE_NONE, S3C_SLICE("a"),
                              S3C_SLICE("a secret of all nodeS") };

    (void) state;

    for (size_t i = 0; i < 3; i++) {
        link_make(&l, SECRET);
        assert_int_equal(server_check(&l, others[i]), S3C_DENIED);
        assert_int_equal(client_check(&l, others[i], BOB, NOW), S3C_DENIED);
        assert_string_equal(l.server.why, "another secret");
    }
}


static void
another_node_is_denied(void **state)
{
    link_t       l;
    s3c_slice_t  others[] = { ALICE, S3C_SLICE("bob.example.ne"),
                              S3C_SLICE("bob.example.net."),
                              S3C_SLICE("Bob.example.net"), S3C_SLICE_NONE };

    (void) state;

    for (size_t i = 0; i < 5; i++) {
        link_make(&l, SECRET);
        assert_int_equal(client_check(&l, SECRET, others[i], NOW),
                         S3C_DENIED);
        assert_string_equal(l.server.why, "meant for another node");

        if (others[i].len > 0) {
            assert_int_equal(client_check(&l, SECRET, BOB, NOW), S3C_OK);
            assert_int_equal(server_make(&l, SECRET, others[i]), S3C_OK);
            assert_int_equal(server_check(&l, SECRET), S3C_DENIED);
            assert_string_equal(l.client.why, "another node answers");
        }
    }
}


/* Where one name ends and the other begins is a part of what is MACed. */
static void
names_cannot_be_cut_at_another_place(void **state)
{
    link_t   l;
    uint8_t  bytes[S3C_WIRE_CLIENT_MAX];
    size_t   n;

    (void) state;
    assert_int_equal(client_make(&l, SECRET, S3C_SLICE("ab"), S3C_SLICE("c"),
                                 NOW), S3C_OK);
    n = unhex(&l.ask, bytes);
    bytes[4] = 1;
    bytes[5] = 2;
    l.ask.len = 0;

    for (size_t i = 0; i < n; i++) {
        static const char  digits[] = "0123456789abcdef";

        l.ask.data[l.ask.len++] = (uint8_t) digits[bytes[i] >> 4];
        l.ask.data[l.ask.len++] = (uint8_t) digits[bytes[i] & 15];
    }

    assert_int_equal(client_check(&l, SECRET, S3C_SLICE("bc"), NOW),
                     S3C_DENIED);
}


static void
clocks_may_differ_by_the_skew_either_way(void **state)
{
    static const struct {
        uint64_t      client, server;
        s3c_status_t  st;
    } rows[] = {
        { NOW, NOW + S3C_WIRE_SKEW_MS, S3C_OK },
        { NOW, NOW - S3C_WIRE_SKEW_MS, S3C_OK },
        { NOW, NOW + S3C_WIRE_SKEW_MS + 1, S3C_DENIED },
        { NOW, NOW - S3C_WIRE_SKEW_MS - 1, S3C_DENIED },
        { 0, UINT64_MAX, S3C_DENIED },
        { UINT64_MAX, 0, S3C_DENIED },
        { UINT64_MAX, UINT64_MAX, S3C_OK },
        { 0, S3C_WIRE_SKEW_MS, S3C_OK },
    };

    link_t  l;

    (void) state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(client_make(&l, SECRET, ALICE, BOB, rows[i].client),
                         S3C_OK);
        assert_int_equal(client_check(&l, SECRET, BOB, rows[i].server),
                         rows[i].st);

        if (rows[i].st != S3C_OK) {
            assert_string_equal(l.server.why, "the clocks differ too much");
        }
    }
}


static void
every_flipped_bit_of_a_hello_is_refused(void **state)
{
    link_t        l;
    s3c_status_t  st;

    (void) state;
    link_make(&l, SECRET);

    for (size_t bit = 0; bit < 8 * l.ask.len; bit++) {
        l.ask.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        st = client_check(&l, SECRET, BOB, NOW);
        assert_true(st == S3C_INVALID || st == S3C_DENIED);
        l.ask.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }

    for (size_t bit = 0; bit < 8 * l.answer.len; bit++) {
        l.answer.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
        st = server_check(&l, SECRET);
        assert_true(st == S3C_INVALID || st == S3C_DENIED);
        l.answer.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }

    assert_int_equal(client_check(&l, SECRET, BOB, NOW), S3C_OK);
    assert_int_equal(server_check(&l, SECRET), S3C_OK);
}


static void
every_truncated_or_longer_hello_is_invalid(void **state)
{
    link_t  l;
    size_t  n, m;

    (void) state;
    link_make(&l, SECRET);
    n = l.ask.len;
    m = l.answer.len;
    memset(l.ask.data + n, '0', sizeof(l.ask.data) - n);
    memset(l.answer.data + m, '0', sizeof(l.answer.data) - m);

    for (l.ask.len = 0; l.ask.len <= S3C_WIRE_HELLO_TEXT_MAX; l.ask.len++) {
        if (l.ask.len != n) {
            assert_int_equal(client_check(&l, SECRET, BOB, NOW), S3C_INVALID);
        }
    }

    for (l.answer.len = 0; l.answer.len <= S3C_WIRE_HELLO_TEXT_MAX;
         l.answer.len++)
    {
        if (l.answer.len != m) {
            assert_int_equal(server_check(&l, SECRET), S3C_INVALID);
        }
    }

    l.ask.len = n;
    l.answer.len = m;
    assert_int_equal(client_check(&l, SECRET, BOB, NOW), S3C_OK);
    assert_int_equal(server_check(&l, SECRET), S3C_OK);
}


/* Even of somebody who knows the secret. */
static void
a_hello_that_cannot_be_is_invalid(void **state)
{
    link_t                  l;
    size_t                  n;
    uint8_t                 ask[S3C_WIRE_CLIENT_MAX];
    uint8_t                 answer[S3C_WIRE_SERVER_MAX];
    s3c_wire_client_rec_t   rec;
    s3c_wire_server_rec_t   back;

    (void) state;
    link_make(&l, SECRET);

#define look(change, expected)                                                \
    n = unhex(&l.ask, ask) - 32;                                              \
    memcpy(&rec, ask, sizeof(rec));                                           \
    change;                                                                   \
    memcpy(ask, &rec, sizeof(rec));                                           \
    forge(&l.ask, SECRET, "s3c client", S3C_SLICE_NONE, ask, n);              \
    assert_int_equal(client_check(&l, SECRET, BOB, NOW), expected);           \
    assert_int_equal(client_make(&l, SECRET, ALICE, BOB, NOW), S3C_OK)

    look((void) 0, S3C_OK);
    look(rec.time_ms++, S3C_OK);
    look(rec.random[15]++, S3C_OK);
    look(rec.version = 0, S3C_INVALID);
    look(rec.version = 2, S3C_INVALID);
    look(rec.version |= 1u << 31, S3C_INVALID);
    look(rec.zero = 1, S3C_INVALID);
    look(rec.name_bytes++, S3C_INVALID);
    look(rec.peer_bytes--, S3C_INVALID);
    look(rec.name_bytes = 0; rec.peer_bytes = 20, S3C_INVALID);
    look(rec.peer_bytes = 0; rec.name_bytes = 20, S3C_INVALID);
    look(rec.name_bytes = 0; rec.peer_bytes = 15; n -= 5, S3C_INVALID);
    look(rec.name_bytes = 255; rec.peer_bytes = 255, S3C_INVALID);
    look(n++, S3C_INVALID);
    look(n--, S3C_INVALID);
    look(n = 32, S3C_INVALID);
    look(n = 0, S3C_INVALID);
    look(rec.name_bytes = 6; rec.peer_bytes = 14, S3C_DENIED);

#undef look

#define look(change, expected)                                                \
    link_make(&l, SECRET);                                                    \
    n = unhex(&l.answer, answer) - 32;                                        \
    memcpy(&back, answer, sizeof(back));                                      \
    change;                                                                   \
    memcpy(answer, &back, sizeof(back));                                      \
    forge(&l.answer, SECRET, "s3c server",                                    \
          s3c_slice(ask, unhex(&l.ask, ask)), answer, n);                     \
    assert_int_equal(server_check(&l, SECRET), expected)

    look((void) 0, S3C_OK);
    look(back.random[0]++, S3C_OK);
    look(back.version = 2, S3C_INVALID);
    look(back.zero[0] = 1, S3C_INVALID);
    look(back.zero[2] = 1, S3C_INVALID);
    look(back.name_bytes = 0, S3C_INVALID);
    look(back.name_bytes++, S3C_INVALID);
    look(back.name_bytes--, S3C_INVALID);
    look(n++, S3C_INVALID);
    look(n = 24, S3C_INVALID);
    look(n = 1, S3C_INVALID);
    look(n = 24; back.name_bytes = 0, S3C_INVALID);

#undef look
}


static void
upper_case_is_not_its_text(void **state)
{
    link_t  l;

    (void) state;
    link_make(&l, SECRET);

    for (size_t i = 0; i < l.ask.len; i++) {
        if (l.ask.data[i] >= 'a') {
            l.ask.data[i] ^= 0x20;
        }
    }

    assert_int_equal(client_check(&l, SECRET, BOB, NOW), S3C_INVALID);
}


/* It is taken as long as the clocks allow, but the keys are new ones. */
static void
a_replayed_hello_gives_other_keys(void **state)
{
    link_t             l;
    s3c_wire_keys_t    a, b;

    (void) state;
    link_make(&l, SECRET);
    a = keys_of(&l.server, SECRET);

    assert_int_equal(client_check(&l, SECRET, BOB, NOW + 1000), S3C_OK);
    assert_int_equal(server_make(&l, SECRET, BOB), S3C_OK);
    b = keys_of(&l.server, SECRET);
    assert_memory_not_equal(a.client, b.client, sizeof(a.client));
    assert_memory_not_equal(a.server, b.server, sizeof(a.server));

    assert_int_equal(client_check(&l, SECRET, BOB,
                                  NOW + S3C_WIRE_SKEW_MS + 1), S3C_DENIED);
}


static void
an_answer_to_another_hello_is_denied(void **state)
{
    link_t  l;
    text_t  old;

    (void) state;
    link_make(&l, SECRET);
    old = l.answer;
    assert_int_equal(client_make(&l, SECRET, ALICE, BOB, NOW), S3C_OK);
    assert_int_equal(server_check(&l, SECRET), S3C_DENIED);

    link_make(&l, SECRET);
    l.answer = old;
    assert_int_equal(server_check(&l, SECRET), S3C_DENIED);

    /* Nor is a hello an answer to itself. */
    assert_int_equal(client_make(&l, SECRET, BOB, BOB, NOW), S3C_OK);
    l.answer = l.ask;
    assert_int_equal(server_check(&l, SECRET), S3C_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(both_ends_get_the_same_keys),
        cmocka_unit_test(a_hello_is_the_bytes_that_the_header_says),
        cmocka_unit_test(names_may_have_any_length_up_to_the_limit),
        cmocka_unit_test(a_text_without_room_is_full),
        cmocka_unit_test(another_secret_is_denied),
        cmocka_unit_test(another_node_is_denied),
        cmocka_unit_test(names_cannot_be_cut_at_another_place),
        cmocka_unit_test(clocks_may_differ_by_the_skew_either_way),
        cmocka_unit_test(every_flipped_bit_of_a_hello_is_refused),
        cmocka_unit_test(every_truncated_or_longer_hello_is_invalid),
        cmocka_unit_test(a_hello_that_cannot_be_is_invalid),
        cmocka_unit_test(upper_case_is_not_its_text),
        cmocka_unit_test(a_replayed_hello_gives_other_keys),
        cmocka_unit_test(an_answer_to_another_hello_is_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
