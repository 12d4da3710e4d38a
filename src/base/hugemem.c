/* SPDX-License-Identifier: Apache-2.0
 *
 * A private mapping, cut to its alignment.
 */
#define _GNU_SOURCE
#include "base/hugemem.h"

#include <sys/mman.h>


static size_t
rounded(size_t bytes)
{
    return (bytes + S3C_HUGEMEM_ALIGN - 1)
           & ~((size_t) S3C_HUGEMEM_ALIGN - 1);
}


void *
s3c_hugemem_map(size_t bytes)
{
    size_t    front, all;
    uint8_t  *p;

    bytes = rounded(bytes);
    all = bytes + S3C_HUGEMEM_ALIGN;

    p = mmap(NULL, all, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        return NULL;
    }

    front = (size_t) (-(uintptr_t) p & (S3C_HUGEMEM_ALIGN - 1));

    if (front > 0) {
        (void) munmap(p, front);
    }

    (void) munmap(p + front + bytes, all - front - bytes);

    /* without huge pages it is memory like any other */
    (void) madvise(p + front, bytes, MADV_HUGEPAGE);

    return p + front;
}


void
s3c_hugemem_unmap(void *p, size_t bytes)
{
    if (p != NULL) {
        (void) munmap(p, rounded(bytes));
    }
}


void
s3c_hugemem_rest(void *p, size_t bytes)
{
    (void) madvise(p, rounded(bytes), MADV_DONTNEED);
}
