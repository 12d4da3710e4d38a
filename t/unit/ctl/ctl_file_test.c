/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of settings, line by line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl_file.h"

static s3c_slice_t  rest, name, value;
static unsigned     line;


static void
begin(const char *text)
{
    rest = s3c_slice(text, strlen(text));
    line = 0;
}


static void
next_is(const char *expected_name, const char *expected, unsigned at)
{
    assert_int_equal(ctl_file_next(&rest, &line, &name, &value), S3C_OK);
    assert_true(s3c_slice_eq(name, s3c_slice(expected_name,
                                             strlen(expected_name))));
    assert_true(s3c_slice_eq(value, s3c_slice(expected, strlen(expected))));
    assert_int_equal(line, at);
}


static void
over(void)
{
    assert_int_equal(ctl_file_next(&rest, &line, &name, &value), S3C_MISS);
}


static void
what_says_something_is_found(void **state)
{
    (void) state;
    begin("url = http://a\n\n# a comment = none\n\t zone=hot \n"
          "secret-key = a = b#c \r\nlast=1");
    next_is("url", "http://a", 1);
    next_is("zone", "hot", 4);
    next_is("secret-key", "a = b#c", 5);
    next_is("last", "1", 6);
    over();
    over();

    begin("");
    over();
    begin("\n\n \n#\n");
    over();
    assert_int_equal(line, 4);
}


static void
what_says_nothing_is_refused(void **state)
{
    static const char *const  wrong[] = {
        "url", "url http://a", "= x", "url =", "url = \n", "url = a\x01",
        "url = a\x7f", "\x1b[2J = x", "=", "url = a\rb"
    };

    (void) state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        begin(wrong[i]);

        if (ctl_file_next(&rest, &line, &name, &value) != S3C_INVALID) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }

        assert_int_equal(line, 1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_says_something_is_found),
        cmocka_unit_test(what_says_nothing_is_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
