/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of this process that devices read into and write from: in huge pages
 * where the kernel has some to give. What lies in one piece costs one
 * descriptor; in a virtual machine reads of 1 MiB were twice as fast as into
 * 4 KiB pages.
 */
#ifndef S3C_BASE_HUGEMEM_H
#define S3C_BASE_HUGEMEM_H

#include "base/slice.h"

#define S3C_HUGEMEM_ALIGN  (2u << 20)

/* Zeros, aligned to S3C_HUGEMEM_ALIGN; pages come when they are touched. NULL:
 * there is none. `bytes` is rounded up to the alignment, here and below. */
void *s3c_hugemem_map(size_t bytes);
void s3c_hugemem_unmap(void *p, size_t bytes);
/* The pages may go, what was in them is lost; it stays mapped. */
void s3c_hugemem_rest(void *p, size_t bytes);

#endif
