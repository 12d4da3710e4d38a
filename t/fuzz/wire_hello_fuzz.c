/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary hellos, at the server and at the client: refused, or what they say
 * is what is in them. The first byte says whether the input is the text or the
 * bytes of it, whether these get the MAC that is right, and which hello it is.
 */
#include <stdlib.h>

#include "cluster/wire.h"

#define SECRET  S3C_SLICE("secret")
#define ALICE   S3C_SLICE("alice")
#define BOB     S3C_SLICE("bob")
#define NOW     1800000000000ull

#define BYTES_MAX  (2 * S3C_WIRE_CLIENT_MAX)

enum { BINARY = 1, MACED = 2, OF_SERVER = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* The text in its own memory, so that ASan sees where it ends. */
static s3c_slice_t
text_make(const uint8_t *data, size_t size, uint8_t how, s3c_slice_t before)
{
    uint8_t       *text, all[S3C_WIRE_LABEL_BYTES + S3C_WIRE_CLIENT_MAX
                             + BYTES_MAX] = { 0 };
    uint8_t        mac[S3C_WIRE_MAC_BYTES];
    s3c_writer_t   w, in;

    text = malloc(2 * size + 2 * sizeof(mac) + 1);
    s3c_writer_init(&w, text, 2 * size + 2 * sizeof(mac));

    if (!(how & BINARY)) {
        s3c_write_bytes(&w, data, size);
        return s3c_writer_slice(&w);
    }

    s3c_write_hex(&w, data, size);

    if (how & MACED) {
        s3c_writer_init(&in, all, sizeof(all));
        s3c_write_str(&in, how & OF_SERVER ? "s3c server" : "s3c client");
        in.pos = all + S3C_WIRE_LABEL_BYTES;
        s3c_write_slice(&in, before);
        s3c_write_bytes(&in, data, size);

        if (!s3c_writer_ok(&in)
            || s3c_hmac_sha256(SECRET, s3c_writer_slice(&in), mac) != S3C_OK)
        {
            abort();
        }

        s3c_write_hex(&w, mac, sizeof(mac));
    }

    return s3c_writer_slice(&w);
}


/* Both have the same keys, or could not have agreed. */
static void
keys_try(s3c_wire_hello_t *h)
{
    s3c_wire_keys_t  keys;

    if (s3c_wire_hello_keys(h, SECRET, &keys) != S3C_OK
        || memcmp(keys.client, keys.server, sizeof(keys.client)) == 0)
    {
        abort();
    }
}


static void
client_try(s3c_slice_t text)
{
    uint8_t           answer[S3C_WIRE_HELLO_TEXT_MAX];
    s3c_slice_t       name;
    s3c_status_t      st;
    s3c_writer_t      w;
    s3c_wire_hello_t  h;

    st = s3c_wire_hello_client_check(&h, SECRET, BOB, NOW, text, &name);

    if (st != S3C_OK) {
        if ((st != S3C_DENIED && st != S3C_INVALID)
            || (st == S3C_DENIED) != (h.why != NULL))
        {
            abort();
        }

        return;
    }

    s3c_writer_init(&w, answer, sizeof(answer));
    s3c_write_hex(&w, h.bytes + S3C_WIRE_LABEL_BYTES, h.client_bytes);

    if (!s3c_slice_eq(s3c_writer_slice(&w), text) || name.len == 0
        || name.data != h.bytes + S3C_WIRE_LABEL_BYTES
                        + sizeof(s3c_wire_client_rec_t)
        || h.client_bytes != sizeof(s3c_wire_client_rec_t) + name.len
                             + BOB.len + S3C_WIRE_MAC_BYTES)
    {
        abort();
    }

    s3c_writer_init(&w, answer, sizeof(answer));

    if (s3c_wire_hello_server_make(&h, SECRET, BOB, &w) != S3C_OK) {
        abort();
    }

    keys_try(&h);
}


static void
server_try(s3c_wire_hello_t *h, s3c_slice_t text)
{
    s3c_status_t  st = s3c_wire_hello_server_check(h, SECRET, text);

    if (st == S3C_OK) {
        keys_try(h);
        return;
    }

    if ((st != S3C_DENIED && st != S3C_INVALID)
        || (st == S3C_DENIED) != (h->why != NULL))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t           how, ask[S3C_WIRE_HELLO_TEXT_MAX];
    s3c_slice_t       text;
    s3c_writer_t      w;
    s3c_wire_hello_t  h;

    if (size < 1 || size > BYTES_MAX) {
        return 0;
    }

    how = data[0];

    if (!(how & OF_SERVER)) {
        text = text_make(data + 1, size - 1, how, S3C_SLICE_NONE);
        client_try(text);

    } else {
        s3c_writer_init(&w, ask, sizeof(ask));

        if (s3c_wire_hello_client_make(&h, SECRET, ALICE, BOB, NOW, &w)
            != S3C_OK)
        {
            abort();
        }

        text = text_make(data + 1, size - 1, how,
                         s3c_slice(h.bytes + S3C_WIRE_LABEL_BYTES,
                                   h.client_bytes));
        server_try(&h, text);
    }

    free((void *) (uintptr_t) text.data);

    return 0;
}
