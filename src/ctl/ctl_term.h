/* SPDX-License-Identifier: Apache-2.0
 *
 * The terminal of `top`: a screen of its own, single keys, and all of it as it
 * was before, however the program ends. One at a time.
 */
#ifndef S3C_CTL_CTL_TERM_H
#define S3C_CTL_CTL_TERM_H

#include <signal.h>
#include <stdbool.h>

/* what ctl_term_wait() answers besides keys */
enum {
    CTL_TERM_TIME = -1,                /* so long has been waited */
    CTL_TERM_DRAW = -2,                /* another size, or back from a stop */
    CTL_TERM_STOP = -3                 /* a signal, or the terminal is gone */
};

/* False: standard input or output is no terminal. */
bool ctl_term_open(void);
/* Restores all; a signal that ended it is raised again. */
void ctl_term_close(void);
/* Not zero: a signal wants the program to end. */
volatile sig_atomic_t *ctl_term_stop(void);
int ctl_term_wait(double s);
/* Lines of what ctl_text has made, cut to the screen. */
void ctl_term_draw(const char *text);

#endif
