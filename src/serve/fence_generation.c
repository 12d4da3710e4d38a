/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations of what is dropped at once: buckets, versions of a key, lists.
 */
#include "serve/fence_internal.h"

#include <stdatomic.h>


bool
s3c_fence_moved(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->moved) != 0;
}


void
s3c_fence_move(s3c_fence_sh_t *f)
{
    atomic_store(&f->moved, 1);
}


uint64_t
s3c_fence_bucket_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(&((s3c_fence_sh_t *) f)
                       ->buckets[name & (S3C_FENCE_BUCKETS - 1)]);
}


void
s3c_fence_bucket_drop(s3c_fence_sh_t *f, uint64_t name)
{
    s3c_purge_count_up(&f->purge, &f->buckets[name & (S3C_FENCE_BUCKETS - 1)]);
    atomic_store(&f->moved, 1);
}


void
s3c_fence_bucket_forget(s3c_fence_sh_t *f, uint32_t place,
    uint64_t generation)
{
    assert(place < S3C_FENCE_BUCKETS);

    /* also what was counted since the start: that may be a number of old */
    atomic_fetch_add(&f->buckets[place], generation);
    atomic_store(&f->moved, 1);
}


bool
s3c_fence_is_loaded(const s3c_fence_sh_t *f)
{
    return atomic_load(&((s3c_fence_sh_t *) f)->loaded) != 0;
}


void
s3c_fence_loaded(s3c_fence_sh_t *f)
{
    atomic_store(&f->loaded, 1);
}


uint64_t
s3c_fence_versions_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    uint64_t  n = atomic_load(&((s3c_fence_sh_t *) f)
                              ->versions[name & (S3C_FENCE_VERSIONS - 1)]);

    return n != 0 ? n : atomic_load(&((s3c_fence_sh_t *) f)->purge.first);
}


void
s3c_fence_versions_drop(s3c_fence_sh_t *f, uint64_t name)
{
    s3c_purge_count_up(&f->purge,
                       &f->versions[name & (S3C_FENCE_VERSIONS - 1)]);
    atomic_store(&f->moved, 1);
}


uint64_t
s3c_fence_lists_generation(const s3c_fence_sh_t *f, uint64_t name)
{
    return atomic_load(&((s3c_fence_sh_t *) f)
                       ->lists[name & (S3C_FENCE_LISTS - 1)]);
}


void
s3c_fence_lists_drop(s3c_fence_sh_t *f, uint64_t name)
{
    atomic_fetch_add(&f->lists[name & (S3C_FENCE_LISTS - 1)], 1);
}
