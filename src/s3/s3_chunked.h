/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoder of aws-chunked bodies (AWS "Signature Calculations for the
 * Authorization Header: Transferring Payload in Multiple Chunks"), strict:
 * the framing of the announced mode and no other, the announced length, the
 * announced trailer and its checksum. Signatures of chunks are verified by
 * whoever has the client's secret: see s3c_s3_chunk_verifier_t.
 */
#ifndef S3C_S3_CHUNKED_H
#define S3C_S3_CHUNKED_H

#include "base/slice.h"
#include "base/status.h"
#include "base/sum.h"
#include "s3/s3_write.h"

#define S3C_S3_CHUNK_LINE_MAX   512
#define S3C_S3_CHUNK_SIGNATURE  64     /* hex digits */

/* Asked in this order: for each chunk, also the empty last one, begin(), add()
 * of its parts, end(); then, in the mode that has one, trailer(). What is not
 * OK ends the body: DENIED when it is not what was signed. */
typedef struct {
    void          *data;
    s3c_status_t (*begin)(void *data, s3c_slice_t signature);
    s3c_status_t (*add)(void *data, s3c_slice_t part);
    s3c_status_t (*end)(void *data);
    /* name empty: there is no line but the signature */
    s3c_status_t (*trailer)(void *data, s3c_slice_t name, s3c_slice_t value,
        s3c_slice_t signature);
} s3c_s3_chunk_verifier_t;

typedef struct {
    unsigned   state;
    bool       is_signed;      /* each chunk carries a signature */
    bool       has_trailer;
    bool       summed;         /* the trailer's checksum has come */
    uint64_t   chunk_left;
    uint64_t   left;           /* of the announced length */
    unsigned   trailer_lines;
    s3c_sum_t  sum;
    unsigned   line_len;
    uint8_t    line[S3C_S3_CHUNK_LINE_MAX];
    /* set it after init; zeros: signatures are not verified */
    s3c_s3_chunk_verifier_t  verifier;
    unsigned   name_len;       /* of the trailer's line, verified at its end */
    unsigned   value_len;
    unsigned   signature_len;
    uint8_t    trailer[S3C_S3_CHUNK_LINE_MAX];
    uint8_t    signature[S3C_S3_CHUNK_SIGNATURE];
} s3c_s3_chunked_t;

/* length: x-amz-decoded-content-length. trailer: the value of x-amz-trailer,
 * empty when there is none. INVALID: they contradict each other; UNSUPPORTED:
 * a trailer that is not one of the five checksums; IO. Always fini. */
s3c_status_t s3c_s3_chunked_init(s3c_s3_chunked_t *c, s3c_payload_t payload,
    uint64_t length, s3c_slice_t trailer) S3C_MUST_CHECK;
void s3c_s3_chunked_fini(s3c_s3_chunked_t *c);

/* As s3c_http_chunked_step(): *data is the next run of payload in `in`, *used
 * what was taken of it. AGAIN; OK: complete and right; INVALID: framing;
 * CHANGED: more or fewer bytes than announced; CORRUPT: the checksum is that
 * of other bytes; DENIED: the verifier's. */
s3c_status_t s3c_s3_chunked_step(s3c_s3_chunked_t *c, s3c_slice_t in,
    s3c_slice_t *data, size_t *used) S3C_MUST_CHECK;

#endif
