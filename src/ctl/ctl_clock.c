/* SPDX-License-Identifier: Apache-2.0
 */
#include "ctl/ctl_clock.h"

#include <errno.h>
#include <time.h>


double
ctl_clock_s(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


void
ctl_clock_nap(double s)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) s;
    ts.tv_nsec = (long) ((s - (double) ts.tv_sec) * 1e9);
    (void) nanosleep(&ts, NULL);
}


void
ctl_clock_pause(double s)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) s;
    ts.tv_nsec = (long) ((s - (double) ts.tv_sec) * 1e9);

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
        /* void */
    }
}
