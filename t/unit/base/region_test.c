/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/region.h"


static void
region_is_there_zeroed_and_shared(void **state)
{
    int           status;
    pid_t         pid;
    uint8_t      *p, vec[2];
    size_t        sizes[] = { 4096, 3 << 20, 4 << 20 };
    s3c_region_t  r;

    (void) state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(s3c_region_map(&r, sizes[i]), S3C_OK);
        assert_int_equal(r.bytes, sizes[i]);
        assert_true(strcmp(r.pages, "4k") == 0 || strcmp(r.pages, "thp") == 0
                    || strcmp(r.pages, "hugetlb") == 0);

        p = r.addr;

        /* The first and the last page are in memory already. */
        assert_int_equal(mincore(p, 1, vec), 0);
        assert_int_equal(mincore(p + sizes[i] - 4096, 1, vec + 1), 0);
        assert_true((vec[0] & 1) && (vec[1] & 1));

        assert_int_equal(p[0] | p[sizes[i] - 1], 0);
        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            p[sizes[i] - 1] = 42;
            _exit(0);
        }

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(p[sizes[i] - 1], 42);

        s3c_region_unmap(&r);
        assert_null(r.addr);
        s3c_region_unmap(&r);
    }
}


static void
what_cannot_be_had_is_said(void **state)
{
    s3c_region_t  r;

    (void) state;
    errno = 0;
    assert_int_equal(s3c_region_map(&r, 0), S3C_IO);
    assert_int_equal(errno, EINVAL);
    assert_null(r.addr);

    errno = 0;
    assert_int_equal(s3c_region_map(&r, (size_t) 1 << 60), S3C_IO);
    assert_true(errno != 0);
    assert_null(r.addr);
    s3c_region_unmap(&r);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(region_is_there_zeroed_and_shared),
        cmocka_unit_test(what_cannot_be_had_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
