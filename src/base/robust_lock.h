/* SPDX-License-Identifier: Apache-2.0
 *
 * A lock in shared memory that survives its owner: when the owning thread or
 * process dies, the next taker is told so and mends what the lock guards. Two
 * uses: to guard data (take, drop), and as a sign of life (taken at the start
 * and never dropped; others try it, and succeed only once the owner is dead).
 *
 * The owner is a thread: the one that takes it must live as long as the lock
 * is meant to be held. The memory may be mapped at any address.
 */
#ifndef S3C_BASE_ROBUST_LOCK_H
#define S3C_BASE_ROBUST_LOCK_H

#include <pthread.h>

#include "base/status.h"

typedef struct {
    pthread_mutex_t  mutex;
} s3c_robust_lock_sh_t;

/* Over zeroed or arbitrary memory that nobody uses yet. IO: not offered. */
s3c_status_t s3c_robust_lock_init(s3c_robust_lock_sh_t *lock) S3C_MUST_CHECK;
/* Waits. OK: held. CORRUPT: held, and the former owner died holding it: mend
 * the data, then call _mended. IO: not held and never will be. */
s3c_status_t s3c_robust_lock_take(s3c_robust_lock_sh_t *lock) S3C_MUST_CHECK;
/* The same without waiting: BUSY when a living thread holds it. */
s3c_status_t s3c_robust_lock_try(s3c_robust_lock_sh_t *lock) S3C_MUST_CHECK;
/* After CORRUPT, once the data is whole again. Who dies before this call
 * leaves CORRUPT to the next taker; who drops without it spoils the lock. */
void s3c_robust_lock_mended(s3c_robust_lock_sh_t *lock);
void s3c_robust_lock_drop(s3c_robust_lock_sh_t *lock);

#endif
