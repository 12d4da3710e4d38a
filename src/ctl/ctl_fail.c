/* SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>

#include "ctl/ctl.h"


ctl_exit_t
ctl_fail(ctl_t *ctl, ctl_exit_t end, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(ctl->error, sizeof(ctl->error), format, args);
    va_end(args);

    return end;
}
