/* SPDX-License-Identifier: Apache-2.0
 *
 * Microseconds of verifying a GET as botocore signs it (10 headers, 5 of them
 * signed), of its two steps, and of the hashes alone that it cannot do without.
 * The best of some rounds each. With an argument: so many verifications and no
 * clock, to be counted by callgrind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "auth/sigv4.h"
#include "auth/sigv4_verify.h"
#include "base/digest.h"

#define ROUNDS       9
#define ROUND        50000u
#define HEADER(n, v)  { S3C_SLICE(n), S3C_SLICE(v) }
#define EMPTY_SHA256                                                          \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const s3c_slice_t        secret = S3C_SLICE(
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
static s3c_http_header_t        headers[] = {
    HEADER("Host", "gateway.example.com:8080"),
    HEADER("Accept-Encoding", "identity"),
    HEADER("User-Agent", "Boto3/1.26.27 md/Botocore#1.29.27 ua/2.0 "
           "os/linux#6.1.0 md/arch#x86_64 lang/python#3.11.2 cfg/retry-mode"
           "#legacy Botocore/1.29.27"),
    HEADER("x-amz-checksum-mode", "ENABLED"),
    HEADER("X-Amz-Date", "20130524T000000Z"),
    HEADER("X-Amz-Content-SHA256", EMPTY_SHA256),
    HEADER("amz-sdk-invocation-id", "2f2b4c1a-9a52-4f0e-8c3b-7f1f2d0c3b11"),
    HEADER("amz-sdk-request", "attempt=1"),
    HEADER("Connection", "keep-alive"),
    HEADER("Authorization", ""),
};
static s3c_sigv4_wire_t         wire = {
    .method = S3C_SLICE("GET"),
    .path = S3C_SLICE("/training-set/images/shard-000123/image-0004567.jpg"),
    .headers = headers,
    .n_headers = sizeof(headers) / sizeof(headers[0]),
    .now_sec = 1369353600,
};
static const s3c_sigv4_rules_t  rules = S3C_SIGV4_RULES_DEFAULT;
static s3c_sigv4_claim_t        claim;
static s3c_sigv4_keys_t         keys;
static uint8_t                  authorization[1024];


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


static void
sign(void)
{
    uint8_t               date[S3C_SIGV4_DATE_BYTES];
    s3c_writer_t          w;
    s3c_http_header_t     some[] = { headers[0], headers[3], headers[4],
                                     headers[5] };
    s3c_sigv4_identity_t  id = {
        .access_key = S3C_SLICE("AKIAIOSFODNN7EXAMPLE"),
        .secret_key = secret, .region = S3C_SLICE("us-east-1")
    };
    s3c_sigv4_request_t   req = {
        .method = wire.method, .path = wire.path, .headers = some,
        .n_headers = 4, .payload_hash = headers[5].value
    };

    s3c_sigv4_date_print(wire.now_sec, date);
    s3c_writer_init(&w, authorization, sizeof(authorization));
    must(s3c_sigv4_sign(&id, &req, date, &w));
    headers[wire.n_headers - 1].value = s3c_writer_slice(&w);
}


static void
parse(void)
{
    must(s3c_sigv4_parse(&wire, &rules, &claim));
}


static void
verify(void)
{
    parse();
    must(s3c_sigv4_check(&wire, &rules, &claim, secret, &keys));
}


/* As many bytes as the canonical request and the string to sign have. */
static void
hashes(void)
{
    static uint8_t  text[357], out[S3C_SHA256_BYTES];

    must(s3c_sha256(s3c_slice(text, sizeof(text)), out));
    must(s3c_hmac_sha256(s3c_slice(text, 32), s3c_slice(text, 138), out));
}


static void
measure(const char *what, void (*one)(void))
{
    double  best = 1e9;

    for (unsigned i = 0; i < ROUNDS; i++) {
        double  start = now_s(), s;

        for (unsigned n = 0; n < ROUND; n++) {
            one();
        }

        s = now_s() - start;
        best = s < best ? s : best;
    }

    printf("%-8s %7.3f us\n", what, best / ROUND * 1e6);
}


int
main(int argc, char **argv)
{
    sign();

    if (argc > 1) {
        for (long n = atol(argv[1]); n > 0; n--) {
            verify();
        }

        return 0;
    }

    measure("verify", verify);
    measure("parse", parse);
    measure("hashes", hashes);

    return 0;
}
