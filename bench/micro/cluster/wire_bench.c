/* SPDX-License-Identifier: Apache-2.0
 *
 * Nanoseconds of a record, sealed and opened, by the bytes of its payload (a
 * frame's head and its bytes as two parts, as they are sent); GB/s of it. And
 * of a BLOCK ask, encoded and decoded; microseconds of a link's hellos and
 * keys, both ends together. The best of some rounds each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/wire.h"

#define ROUNDS       7
#define ROUND_BYTES  (256u << 20)
#define BATCH_BYTES  (1u << 20)          /* of sealed records: in the cache */
#define HEAD         sizeof(s3c_wire_frame_rec_t)
#define ASKS         1000000
#define HELLOS       2000

static const uint8_t    key[S3C_GMAC_KEY_BYTES] = "a key of 16 byte";
static uint8_t          sealed[2 * BATCH_BYTES];
static volatile size_t  sink;


static double
now_s(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
must(s3c_status_t st)
{
    if (st != S3C_OK) {
        fprintf(stderr, "%s\n", s3c_status_name(st));
        exit(1);
    }
}


/* Seals a batch in place and opens it, as often as it takes; the seconds of
 * each are added. */
static void
batch_run(s3c_wire_sealer_t *s, s3c_wire_opener_t *o, size_t payload,
    size_t records, double *seal_s, double *open_s)
{
    size_t       used, bytes = payload + S3C_WIRE_RECORD_HEAD
                               + S3C_WIRE_RECORD_TAG;
    double       start, middle;
    uint8_t     *at;
    s3c_slice_t  parts[2], got;

    start = now_s();

    for (size_t i = 0; i < records; i++) {
        at = sealed + i * bytes;
        parts[0] = s3c_slice(at + 4, HEAD);
        parts[1] = s3c_slice(at + 4 + HEAD, payload - HEAD);
        must(s3c_wire_record_seal(s, parts, 2, at, at + 4 + payload));
    }

    middle = now_s();

    for (size_t i = 0; i < records; i++) {
        must(s3c_wire_record_open(o, s3c_slice(sealed + i * bytes, bytes),
                                  &got, &used));
        sink += got.len;
    }

    *seal_s += middle - start;
    *open_s += now_s() - middle;
}


static void
record_bench(size_t payload)
{
    double             seal_s, open_s, best_seal = 1e9, best_open = 1e9, n;
    size_t             records = BATCH_BYTES / payload;
    size_t             batches = ROUND_BYTES / BATCH_BYTES / ROUNDS;
    s3c_wire_sealer_t  s;
    s3c_wire_opener_t  o;

    must(s3c_wire_sealer_init(&s, key));
    must(s3c_wire_opener_init(&o, key));
    memset(sealed, 0x5a, sizeof(sealed));

    for (int r = 0; r < ROUNDS; r++) {
        seal_s = open_s = 0;

        for (size_t b = 0; b < batches; b++) {
            batch_run(&s, &o, payload, records, &seal_s, &open_s);
        }

        best_seal = seal_s < best_seal ? seal_s : best_seal;
        best_open = open_s < best_open ? open_s : best_open;
    }

    n = (double) (batches * records);
    printf("%6zu B   seal %8.1f ns %6.2f GB/s   open %8.1f ns %6.2f GB/s\n",
           payload, best_seal / n * 1e9, n * (double) payload / best_seal
           / 1e9, best_open / n * 1e9, n * (double) payload / best_open / 1e9);
    s3c_wire_sealer_fini(&s);
    s3c_wire_opener_fini(&o);
}


static void
ask_bench(void)
{
    double            start, encode_s, decode_s, best_e = 1e9, best_d = 1e9;
    uint8_t           buf[S3C_WIRE_FRAME_WRITES_MAX];
    s3c_slice_t       rest;
    s3c_writer_t      w;
    s3c_wire_frame_t  got, f = {
        .type = S3C_WIRE_ASK, .stream = 1,
        .ask = {
            .block = 7, .generation = 8, .total = 9, .window = 1u << 20,
            .what = S3C_WIRE_BLOCK, .bucket = S3C_SLICE("a-bucket-of-photos"),
            .key = S3C_SLICE("2026/11/21/of-some-length/IMG_20261121.jpg"),
            .etag = S3C_SLICE("\"9b2cf535f27731c974343645a3985328\"")
        }
    };

    for (int r = 0; r < ROUNDS; r++) {
        start = now_s();

        for (int i = 0; i < ASKS; i++) {
            s3c_writer_init(&w, buf, sizeof(buf));
            f.ask.block = (uint64_t) i;
            must(s3c_wire_frame_encode(&w, &f));
        }

        encode_s = now_s() - start;
        start = now_s();

        for (int i = 0; i < ASKS; i++) {
            rest = s3c_writer_slice(&w);
            must(s3c_wire_frame_decode(&rest, &got));
            sink += got.ask.key.len;
        }

        decode_s = now_s() - start;
        best_e = encode_s < best_e ? encode_s : best_e;
        best_d = decode_s < best_d ? decode_s : best_d;
    }

    printf("ask        encode %6.1f ns             decode %6.1f ns\n",
           best_e / ASKS * 1e9, best_d / ASKS * 1e9);
}


static void
hello_bench(void)
{
    double            start = now_s();
    uint8_t           ask[S3C_WIRE_HELLO_TEXT_MAX], answer[sizeof(ask)];
    s3c_slice_t       name, secret = S3C_SLICE("a secret of all nodes");
    s3c_slice_t       alice = S3C_SLICE("cache-1.example.net");
    s3c_slice_t       bob = S3C_SLICE("cache-2.example.net");
    s3c_writer_t      w, v;
    s3c_wire_keys_t   keys;
    s3c_wire_hello_t  c, s;

    for (int i = 0; i < HELLOS; i++) {
        s3c_writer_init(&w, ask, sizeof(ask));
        must(s3c_wire_hello_client_make(&c, secret, alice, bob, 1, &w));
        must(s3c_wire_hello_client_check(&s, secret, bob, 1,
                                         s3c_writer_slice(&w), &name));
        s3c_writer_init(&v, answer, sizeof(answer));
        must(s3c_wire_hello_server_make(&s, secret, bob, &v));
        must(s3c_wire_hello_server_check(&c, secret, s3c_writer_slice(&v)));
        must(s3c_wire_hello_keys(&c, secret, &keys));
        must(s3c_wire_hello_keys(&s, secret, &keys));
    }

    printf("hello      both ends %6.1f us\n",
           (now_s() - start) / HELLOS * 1e6);
}


int
main(void)
{
    record_bench(100);
    record_bench(4096);
    record_bench(65536);
    ask_bench();
    hello_bench();

    return 0;
}
