/* SPDX-License-Identifier: Apache-2.0
 *
 * Time that only goes on, and waiting.
 */
#ifndef S3C_CTL_CTL_CLOCK_H
#define S3C_CTL_CTL_CLOCK_H

double ctl_clock_s(void);
void ctl_clock_pause(double s);
/* The same, but a signal ends it. */
void ctl_clock_nap(double s);

#endif
