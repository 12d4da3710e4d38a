/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to DeleteObjects: those that deleted nothing, and all others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_delete_result.h"

#define LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define XML     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define RESULT(inner)                                                         \
    XML "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"    \
    inner "</DeleteResult>"
#define ERROR(code)                                                           \
    "<Error><Key>a&lt;b</Key><Code>" code "</Code>"                           \
    "<Message>Access Denied</Message></Error>"
#define DENIED  ERROR("AccessDenied")


static void
all_were_denied_or_not(void **state)
{
    static const struct {
        const char  *text;
        uint64_t     n;
        bool         denied;
    } rows[] = {
        { RESULT(DENIED), 1, true },
        { RESULT(DENIED DENIED DENIED), 3, true },
        { XML "<DeleteResult>\n  " DENIED "\n  " DENIED "\n</DeleteResult>\n",
          2, true },
        { "<DeleteResult>" DENIED "</DeleteResult>", 1, true },
        /* a quiet one tells errors only */
        { RESULT(DENIED), 2, false },
        { RESULT(""), 1, false },
        { RESULT(""), 0, false },
        { "", 0, false },
        { "", 1, false },
        { RESULT(DENIED DENIED), 1, false },
        { RESULT("<Deleted><Key>k</Key></Deleted>" DENIED), 1, false },
        { RESULT(DENIED "<Deleted><Key>k</Key></Deleted>"), 1, false },
        { RESULT(DENIED "<Deleted/>"), 1, false },
        /* it may have been deleted */
        { RESULT(ERROR("InternalError")), 1, false },
        { RESULT(DENIED ERROR("InternalError")), 1, false },
        { RESULT(ERROR("AccessDeniedNot")), 1, false },
        { RESULT(ERROR(" AccessDenied")), 1, false },
        { RESULT("<Code x='y'>AccessDenied</Code>"), 1, false },
        /* text that only looks so */
        { RESULT(DENIED "<Key><![CDATA[<Code>AccessDenied</Code>]]></Key>"),
          2, false },
        { RESULT(DENIED "<!-- <Code>AccessDenied</Code> -->"), 2, false },
        { RESULT("<Key>Code&gt;AccessDenied</Key>"), 1, false },
        /* cut */
        { "<DeleteResult><Error><Code>AccessDenied", 1, false },
        { "<DeleteResult><Error><Code>AccessDenied<", 1, true },
    };

    (void) state;

    for (size_t i = 0; i < LEN(rows); i++) {
        s3c_slice_t             text = s3c_slice(rows[i].text,
                                                 strlen(rows[i].text));
        s3c_s3_delete_result_t  whole = { 0 };

        s3c_s3_delete_result_take(&whole, text);
        assert_int_equal(s3c_s3_delete_result_is_denied(&whole, rows[i].n),
                         rows[i].denied);

        for (size_t piece = 1; piece < 40; piece++) {
            s3c_s3_delete_result_t  r = { 0 };

            for (size_t at = 0; at < text.len; at += piece) {
                size_t  n = text.len - at < piece ? text.len - at : piece;

                s3c_s3_delete_result_take(&r, s3c_slice(text.data + at, n));
            }

            assert_int_equal(s3c_s3_delete_result_is_denied(&r, rows[i].n),
                             rows[i].denied);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(all_were_denied_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
