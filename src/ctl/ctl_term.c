/* SPDX-License-Identifier: Apache-2.0
 *
 * ANSI sequences that any terminal of these years knows. Handlers of signals
 * set flags and write a byte into a pipe, so that none is missed by poll().
 */
#define _GNU_SOURCE
#include "ctl/ctl_term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ctl/ctl_text.h"

#define TERM_ENTER  "\033[?1049h\033[?25l\033[H\033[2J"
#define TERM_LEAVE  "\033[?25h\033[?1049l"

static struct termios         term_before;
static volatile sig_atomic_t  term_stopped;        /* the signal's number */
static volatile sig_atomic_t  term_suspend;
static volatile sig_atomic_t  term_redraw;
static bool                   term_is_open;
static int                    term_pipe[2] = { -1, -1 };

static const int  term_signals[] = {
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT
};

#define TERM_SIGNALS  (sizeof(term_signals) / sizeof(term_signals[0]))


static void
term_on_signal(int number)
{
    int      saved = errno;
    ssize_t  n;

    switch (number) {

    case SIGTSTP:
        term_suspend = 1;
        break;

    case SIGWINCH:
    case SIGCONT:
        term_redraw = 1;
        break;

    default:
        term_stopped = number;
    }

    n = write(term_pipe[1], "", 1);
    (void) n;
    errno = saved;
}


static void
term_say(const char *text)
{
    size_t   len = strlen(text);
    ssize_t  n;

    while (len > 0) {
        n = write(STDOUT_FILENO, text, len);

        if (n < 0 && errno != EINTR) {
            return;
        }

        if (n > 0) {
            text += n;
            len -= (size_t) n;
        }
    }
}


static void
term_raw(void)
{
    struct termios  raw = term_before;

    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;

    (void) tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    term_say(TERM_ENTER);
}


static void
term_restore(void)
{
    if (term_is_open) {
        term_say(TERM_LEAVE);
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &term_before);
    }
}


bool
ctl_term_open(void)
{
    struct sigaction  sa;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)
        || tcgetattr(STDIN_FILENO, &term_before) != 0
        || pipe2(term_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    {
        return false;
    }

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = term_on_signal;

    for (size_t i = 0; i < TERM_SIGNALS; i++) {
        (void) sigaction(term_signals[i], &sa, NULL);
    }

    /* who calls exit() without closing it */
    (void) atexit(term_restore);
    term_is_open = true;
    term_raw();

    return true;
}


void
ctl_term_close(void)
{
    if (!term_is_open) {
        return;
    }

    term_restore();
    term_is_open = false;

    if (term_stopped != 0) {
        (void) fflush(stdout);
        (void) signal(term_stopped, SIG_DFL);
        (void) raise(term_stopped);
    }
}


volatile sig_atomic_t *
ctl_term_stop(void)
{
    return &term_stopped;
}


/* Ctrl-Z: the shell gets its terminal, and we ours when it says so. */
static void
term_pause(void)
{
    term_suspend = 0;
    term_restore();
    (void) raise(SIGSTOP);
    (void) tcgetattr(STDIN_FILENO, &term_before);
    term_raw();
    term_redraw = 1;
}


int
ctl_term_wait(double s)
{
    int            rc;
    char           drop[64];
    unsigned char  key;
    struct pollfd  fds[2] = {
        { STDIN_FILENO, POLLIN, 0 }, { term_pipe[0], POLLIN, 0 }
    };

    if (!term_stopped && !term_suspend && !term_redraw) {
        rc = poll(fds, 2, s < 3600 ? (int) (s * 1000) : 3600000);

        if (rc < 0 && errno != EINTR) {
            return CTL_TERM_STOP;
        }

        if (rc == 0) {
            return CTL_TERM_TIME;
        }
    }

    while (read(term_pipe[0], drop, sizeof(drop)) > 0) {
        /* void */
    }

    if (term_stopped) {
        return CTL_TERM_STOP;
    }

    if (term_suspend) {
        term_pause();
    }

    if (term_redraw) {
        term_redraw = 0;
        return CTL_TERM_DRAW;
    }

    if (fds[0].revents == 0) {
        return CTL_TERM_DRAW;
    }

    return read(STDIN_FILENO, &key, 1) == 1 ? key : CTL_TERM_STOP;
}


void
ctl_term_draw(const char *text)
{
    FILE            *out;
    char            *screen = NULL;
    size_t           size;
    unsigned         rows = 24, columns = 80;
    struct winsize   ws;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0
        && ws.ws_col > 0)
    {
        rows = ws.ws_row;
        columns = ws.ws_col;
    }

    out = open_memstream(&screen, &size);

    if (out == NULL) {
        return;
    }

    (void) fputs("\033[H", out);

    for (unsigned row = 0; row < rows && *text != '\0'; row++) {
        size_t  len = strcspn(text, "\n");
        char   *line = strndup(text, len);

        if (line != NULL) {
            (void) fprintf(out, "%s%.*s\033[K", row > 0 ? "\r\n" : "",
                           (int) ctl_text_fit(line, columns), line);
        }

        free(line);
        text += len + (text[len] == '\n');
    }

    (void) fputs("\033[J", out);

    if (fclose(out) == 0) {
        term_say(screen);
    }

    free(screen);
}
