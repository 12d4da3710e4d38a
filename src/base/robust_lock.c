/* SPDX-License-Identifier: Apache-2.0
 *
 * A robust, process-shared pthread mutex and the names of its outcomes. The
 * only file that sees pthread's errno values.
 */
#include "base/robust_lock.h"

#include <errno.h>
#include <string.h>


static s3c_status_t
status_of(int err)
{
    switch (err) {
    case 0:
        return S3C_OK;
    case EOWNERDEAD:
        return S3C_CORRUPT;
    case EBUSY:
        return S3C_BUSY;
    default:           /* ENOTRECOVERABLE, EINVAL, EAGAIN: not to be had */
        return S3C_IO;
    }
}


s3c_status_t
s3c_robust_lock_init(s3c_robust_lock_sh_t *lock)
{
    pthread_mutexattr_t  attr;
    int                  err;

    memset(lock, 0, sizeof(*lock));

    if (pthread_mutexattr_init(&attr) != 0) {
        return S3C_IO;
    }

    err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (err == 0) {
        err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (err == 0) {
        err = pthread_mutex_init(&lock->mutex, &attr);
    }

    pthread_mutexattr_destroy(&attr);

    return err == 0 ? S3C_OK : S3C_IO;
}


s3c_status_t
s3c_robust_lock_take(s3c_robust_lock_sh_t *lock)
{
    return status_of(pthread_mutex_lock(&lock->mutex));
}


s3c_status_t
s3c_robust_lock_try(s3c_robust_lock_sh_t *lock)
{
    return status_of(pthread_mutex_trylock(&lock->mutex));
}


void
s3c_robust_lock_mended(s3c_robust_lock_sh_t *lock)
{
    (void) pthread_mutex_consistent(&lock->mutex);
}


void
s3c_robust_lock_drop(s3c_robust_lock_sh_t *lock)
{
    (void) pthread_mutex_unlock(&lock->mutex);
}
