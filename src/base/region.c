/* SPDX-License-Identifier: Apache-2.0
 *
 * Anonymous shared memory for the tiers. Tries reserved huge pages, then
 * transparent ones, then takes what there is; interleaves over NUMA nodes by
 * the task's policy, which, unlike mbind(), also holds for hugetlb pages; and
 * touches every page now, so that a shortage shows at start-up and not as a
 * SIGBUS in the middle of a request.
 */
#include "base/region.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE  23          /* Linux 5.14 */
#endif

#define HUGE_BYTES           (2u << 20)
#define NODES_MAX            1024        /* bits of a node mask */
#define NODE_WORDS           (NODES_MAX / (8 * sizeof(unsigned long)))
#define POLICY_DEFAULT       0           /* MPOL_DEFAULT, linux/mempolicy.h */
#define POLICY_INTERLEAVE    3           /* MPOL_INTERLEAVE */


/* Reads a list such as "0-3,8"; answers how many nodes it names. */
static unsigned
nodes_parse(const char *text, unsigned long mask[NODE_WORDS])
{
    unsigned  lo, hi, n = 0;
    int       used;

    while (sscanf(text, "%u%n", &lo, &used) == 1) {
        text += used;
        hi = lo;

        if (*text == '-' && sscanf(text + 1, "%u%n", &hi, &used) == 1) {
            text += 1 + used;
        }

        for (unsigned i = lo; i <= hi && i < NODES_MAX; i++) {
            mask[i / (8 * sizeof(mask[0]))] |= 1ul << i % (8 * sizeof(mask[0]));
            n++;
        }

        if (*text != ',') {
            break;
        }

        text++;
    }

    return n;
}


/* Answers whether the policy was changed and must be set back. */
static bool
interleave_begin(void)
{
    char           text[256];
    FILE          *f;
    unsigned       n = 0;
    unsigned long  mask[NODE_WORDS] = { 0 };

    f = fopen("/sys/devices/system/node/has_memory", "re");
    if (f == NULL) {
        return false;
    }

    if (fgets(text, sizeof(text), f) != NULL) {
        n = nodes_parse(text, mask);
    }

    fclose(f);

    return n > 1
           && syscall(SYS_set_mempolicy, POLICY_INTERLEAVE, mask,
                      (unsigned long) NODES_MAX) == 0;
}


static s3c_status_t
populate(void *addr, size_t bytes)
{
    size_t             step = (size_t) sysconf(_SC_PAGESIZE);
    volatile uint8_t  *p = addr;

    if (madvise(addr, bytes, MADV_POPULATE_WRITE) == 0) {
        return S3C_OK;
    }

    if (errno != EINVAL) {               /* ENOMEM: there is no such memory */
        return S3C_IO;
    }

    for (size_t i = 0; i < bytes; i += step) {       /* an older kernel */
        p[i] = 0;
    }

    return S3C_OK;
}


/* Is anonymous shared memory given huge pages when it asks for them? */
static bool
thp_offered(void)
{
    char   text[128];
    bool   yes = false;
    FILE  *f;

    f = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
    if (f == NULL) {
        return false;
    }

    if (fgets(text, sizeof(text), f) != NULL) {
        yes = strstr(text, "[never]") == NULL && strstr(text, "[deny]") == NULL;
    }

    fclose(f);

    return yes;
}


s3c_status_t
s3c_region_map(s3c_region_t *region, size_t bytes)
{
    int           err;
    bool          interleaved;
    void         *addr = MAP_FAILED;
    s3c_status_t  st;

    *region = (s3c_region_t) { NULL, 0, "none" };

    if (bytes == 0) {
        errno = EINVAL;
        return S3C_IO;
    }

#ifdef MAP_HUGETLB
    if (bytes % HUGE_BYTES == 0) {
        addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        region->pages = "hugetlb";
    }
#endif

    if (addr == MAP_FAILED) {
        addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (addr == MAP_FAILED) {
            return S3C_IO;
        }

        region->pages = madvise(addr, bytes, MADV_HUGEPAGE) == 0
                        && thp_offered() ? "thp" : "4k";
    }

    (void) madvise(addr, bytes, MADV_DONTDUMP);

    interleaved = interleave_begin();
    st = populate(addr, bytes);
    err = errno;

    if (interleaved) {
        (void) syscall(SYS_set_mempolicy, POLICY_DEFAULT, NULL, 0ul);
    }

    if (st != S3C_OK) {
        munmap(addr, bytes);
        errno = err;
        return st;
    }

    region->addr = addr;
    region->bytes = bytes;

    return S3C_OK;
}


void
s3c_region_unmap(s3c_region_t *region)
{
    if (region->addr != NULL) {
        munmap(region->addr, region->bytes);
    }

    *region = (s3c_region_t) { NULL, 0, "none" };
}
