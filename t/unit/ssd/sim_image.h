/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated disk does to its files.
 */
#ifndef T_UNIT_SSD_SIM_IMAGE_H
#define T_UNIT_SSD_SIM_IMAGE_H

#include "sim_disk.h"

/* Whole sectors that are, or are not, the same in both images. */
void sim_file_dirty(sim_file_t *f, uint64_t off, uint64_t len, bool dirty);
/* permille of the dirty sectors become new, the others old. */
void sim_file_settle(sim_file_t *f, uint64_t *rng, uint32_t permille);
/* Bytes of [off, off + len) that are there. */
uint32_t sim_file_clip(const sim_file_t *f, uint64_t off, uint32_t len);

#endif
