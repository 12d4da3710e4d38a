/* SPDX-License-Identifier: Apache-2.0
 *
 * What every backend must do alike; its own test opens it and runs these. The
 * event fd is used as nginx does: edge-triggered by epoll and never read.
 */
#ifndef S3C_T_IO_CASES_H
#define S3C_T_IO_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/io.h"

#define IO_CASES                                                            \
    cmocka_unit_test(what_is_written_is_read),                              \
    cmocka_unit_test(a_read_at_the_end_is_short),                           \
    cmocka_unit_test(an_error_is_the_result),                               \
    cmocka_unit_test(one_more_than_the_depth_is_busy),                      \
    cmocka_unit_test(all_of_a_deep_queue_is_done),                          \
    cmocka_unit_test(nothing_is_sent_before_submit),                        \
    cmocka_unit_test(no_edge_is_lost),                                      \
    cmocka_unit_test(close_waits_for_nothing),                              \
    cmocka_unit_test(close_drops_what_was_not_sent)

#define OWN_POSITION  UINT64_MAX         /* the offset for a pipe */

/* Set by main(). */
extern s3c_status_t (*io_cases_open)(s3c_io_t **io, uint32_t depth);

typedef struct {
    s3c_io_t  *io;
    int        epoll_fd;
} io_loop_t;

void io_loop_open(io_loop_t *loop, uint32_t depth);
void io_loop_close(io_loop_t *loop);
/* Submits, waits for an event and reaps; false: none came in time. */
bool io_loop_turn(io_loop_t *loop, int timeout_ms);
/* Until nothing is in flight; fails if an event is missing. */
void io_loop_drain(io_loop_t *loop);

/* An unlinked file; O_DIRECT if wanted and the file system has it. */
int io_file(uint64_t bytes, bool direct);
void io_op_init(s3c_io_op_t *op, s3c_io_kind_t kind, int fd, void *buf,
    uint32_t len, uint64_t off);
/* Reads, writes and syncs of random blocks, `n_ops` of them. `buf` holds
 * IO_MIX_BYTES and is aligned. */
#define IO_MIX_DEPTH   64
#define IO_MIX_BYTES   (IO_MIX_DEPTH * 16384u)
void io_mix(io_loop_t *loop, int fd, uint8_t *buf, uint32_t n_ops);

void what_is_written_is_read(void **state);
void a_read_at_the_end_is_short(void **state);
void an_error_is_the_result(void **state);
void one_more_than_the_depth_is_busy(void **state);
void all_of_a_deep_queue_is_done(void **state);
void nothing_is_sent_before_submit(void **state);
void no_edge_is_lost(void **state);
void close_waits_for_nothing(void **state);
void close_drops_what_was_not_sent(void **state);

#endif
