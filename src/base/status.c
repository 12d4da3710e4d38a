/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the statuses, for logs and metrics.
 */
#include "base/status.h"


const char *
s3c_status_name(s3c_status_t st)
{
    switch (st) {
    case S3C_OK:           return "ok";
    case S3C_MISS:         return "miss";
    case S3C_AGAIN:        return "again";
    case S3C_EXISTS:       return "exists";
    case S3C_BUSY:         return "busy";
    case S3C_FULL:         return "full";
    case S3C_INVALID:      return "invalid";
    case S3C_CORRUPT:      return "corrupt";
    case S3C_CHANGED:      return "changed";
    case S3C_DENIED:       return "denied";
    case S3C_UNSUPPORTED:  return "unsupported";
    case S3C_IO:           return "io";
    case S3C_TIMEOUT:      return "timeout";
    }

    return "unknown";
}
