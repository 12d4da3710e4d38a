/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk itself: queues, faults, power. See sim_disk.h; its files are in
 * sim_image.c, zones and workers in sim_zone.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sim_image.h"

#define SIM_NEVER   UINT64_MAX
#define SIM_GRAVES  (1u << 16)

typedef struct {
    s3c_io_op_t  *op;
    uint64_t      due;           /* SIM_NEVER: hangs, or not submitted */
    uint64_t      sum;           /* of a write's bytes when it was queued */
    int           err;
    bool          submitted, hung, shortened, flipped;
} sim_slot_t;

struct sim_queue_s {
    s3c_io_t      io;            /* first */
    sim_disk_t   *disk;
    bool          orphan;        /* closed, or its process has died */
    uint32_t      n, n_submitted;
    sim_slot_t    slots[];
};

/* What a dead process leaves behind must stay: the disk may write to it. Here
 * it can be reached, so that it is no leak to the sanitizer. */
static void      *graves[SIM_GRAVES];
static uint32_t   n_graves;


void
sim_abort(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}


void
sim_bury(void *p)
{
    graves[n_graves++ % SIM_GRAVES] = p;
}


void
sim_disk_init(sim_disk_t *disk, uint64_t seed, uint32_t n_files,
    uint64_t bytes)
{
    sim_check(n_files <= SIM_FILES_MAX && bytes % S3C_SSD_BLOCK == 0);

    *disk = (sim_disk_t) {
        .rng = seed, .usec = 5000000, .align = SIM_SECTOR, .n_files = n_files
    };

    for (uint32_t i = 0; i < n_files; i++) {
        sim_file_t  *f = &disk->files[i];

        f->bytes = f->end = bytes;
        f->seen = calloc(1, bytes);
        f->stable = calloc(1, bytes);
        f->dirty = calloc(1, bytes / SIM_SECTOR / 8 + 1);
        sim_check(f->seen != NULL && f->stable != NULL && f->dirty != NULL);
    }
}


void
sim_disk_fini(sim_disk_t *disk)
{
    for (uint32_t i = 0; i < disk->n_files; i++) {
        free(disk->files[i].seen);
        free(disk->files[i].stable);
        free(disk->files[i].dirty);
    }

    for (uint32_t i = 0; i < disk->n_queues; i++) {
        free(disk->queues[i]);
    }
}


/* --- faults -------------------------------------------------------------- */

void
sim_disk_fault(sim_disk_t *disk, sim_fault_t fault)
{
    sim_check(disk->n_faults < SIM_FAULTS_MAX);
    disk->faults[disk->n_faults++] = fault;
}


void
sim_disk_no_faults(sim_disk_t *disk)
{
    disk->n_faults = 0;
}


static bool
fault_fits(sim_disk_t *disk, sim_fault_t *f, const s3c_io_op_t *op)
{
    int  kind = op->kind == S3C_IO_READ ? SIM_READS : SIM_WRITES;

    if ((f->file != SIM_ANY && f->file != op->fd)
        || (f->kind != SIM_ANY && f->kind != kind)
        || (f->len != 0
            && (op->off >= f->off + f->len || f->off >= op->off + op->len)))
    {
        return false;
    }

    if (f->skip > 0) {
        f->skip--;
        return false;
    }

    return f->one_in <= 1 || sim_below(&disk->rng, f->one_in) == 0;
}


static void
slot_plan(sim_disk_t *disk, sim_slot_t *slot)
{
    slot->due = disk->usec;

    if (disk->delay_max_us > 0) {
        slot->due += disk->delay_min_us
                     + sim_below(&disk->rng, disk->delay_max_us
                                             - disk->delay_min_us + 1);
    }

    for (uint32_t i = 0; i < disk->n_faults; i++) {
        sim_fault_t  *f = &disk->faults[i];

        if (!fault_fits(disk, f, slot->op)) {
            continue;
        }

        switch (f->what) {
        case SIM_EIO:     slot->err = EIO; break;
        case SIM_ENOSPC:  slot->err = ENOSPC; break;
        case SIM_SHORT:   slot->shortened = true; break;
        case SIM_FLIP:    slot->flipped = true; break;
        case SIM_LATE:    slot->due += f->late_us; break;
        case SIM_HANG:    slot->hung = true; slot->due = SIM_NEVER; break;
        }

        if (f->times > 0 && --f->times == 0) {
            *f = disk->faults[--disk->n_faults];
        }

        return;
    }
}


/* --- operations ---------------------------------------------------------- */

static void
write_check(sim_disk_t *disk, const s3c_io_op_t *op)
{
    sim_check(op->off % S3C_SSD_BLOCK == 0 && op->len % S3C_SSD_BLOCK == 0);

    for (uint32_t i = 0; i < disk->n_queues; i++) {
        const sim_queue_t  *q = disk->queues[i];

        for (uint32_t j = 0; j < q->n; j++) {
            const s3c_io_op_t  *o = q->slots[j].op;

            /* a dead keeper's superblock, which its successor writes again */
            if (q->orphan && op->off < S3C_SSD_SUPER_BYTES) {
                continue;
            }

            sim_check(o->kind == S3C_IO_READ || o->fd != op->fd || o == op
                      || o->off >= op->off + op->len
                      || op->off >= o->off + o->len);
        }
    }
}


static void
write_apply(sim_disk_t *disk, const sim_slot_t *slot, uint32_t len)
{
    s3c_io_op_t  *op = slot->op;
    sim_file_t   *f = &disk->files[op->fd];

    f->n_writes++;
    f->written_bytes += len;

    memcpy(f->seen + op->off, op->buf, len);

    if (slot->flipped && len > 0) {
        f->seen[op->off + sim_below(&disk->rng, len)]
            ^= (uint8_t) (1u << sim_below(&disk->rng, 8));
    }

    sim_file_dirty(f, op->off, len, true);

    if (op->kind == S3C_IO_WRITE_DSYNC || disk->write_through) {
        f->n_dsync += op->kind == S3C_IO_WRITE_DSYNC;
        memcpy(f->stable + op->off, f->seen + op->off, len);
        sim_file_dirty(f, op->off, len, false);

        if (disk->dsync_flushes || sim_below(&disk->rng, 2) == 0) {
            sim_file_settle(f, &disk->rng, 1000);
        }
    }

    disk->n_writes++;

    if (disk->on_write != NULL && len == op->len) {
        disk->on_write(disk->ctx, (uint32_t) op->fd, op->kind, op->off,
                       op->buf, len);
    }

    if (disk->cut_after != 0 && disk->n_writes == disk->cut_after) {
        disk->off = true;
    }
}


static void
read_apply(sim_disk_t *disk, const sim_slot_t *slot, uint32_t len)
{
    s3c_io_op_t  *op = slot->op;
    sim_file_t   *f = &disk->files[op->fd];

    f->n_reads++;
    f->read_bytes += len;
    f->last_read_off = op->off;
    f->last_read_len = op->len;

    memcpy(op->buf, f->seen + op->off, len);

    if (slot->flipped && len > 0) {
        ((uint8_t *) op->buf)[sim_below(&disk->rng, len)]
            ^= (uint8_t) (1u << sim_below(&disk->rng, 8));
    }
}


/* The operation reaches the disk; its result is set. */
static void
slot_apply(sim_disk_t *disk, sim_slot_t *slot)
{
    uint32_t      len;
    s3c_io_op_t  *op = slot->op;
    sim_file_t   *f = &disk->files[op->fd];

    if (slot->err != 0) {
        op->result = -slot->err;
        return;
    }

    len = sim_file_clip(f, op->off, op->len);

    if (slot->shortened) {
        len = (uint32_t) sim_below(&disk->rng, op->len / disk->align)
              * disk->align;
        len = sim_file_clip(f, op->off, len);
    }

    if (op->kind == S3C_IO_READ) {
        read_apply(disk, slot, len);

    } else {
        sim_check(disk->lax || slot->sum == s3c_hash64(op->buf, op->len));
        write_apply(disk, slot, len);
    }

    op->result = op->kind != S3C_IO_READ && len == 0 && !slot->shortened
                 ? -ENOSPC : (int32_t) len;
}


/* --- queues -------------------------------------------------------------- */

static s3c_status_t
sim_io_queue(s3c_io_t *io, s3c_io_op_t *op)
{
    sim_queue_t  *q = (sim_queue_t *) io;
    sim_disk_t   *disk = q->disk;
    sim_slot_t   *slot;

    sim_check(!q->orphan && op->done != NULL && op->len > 0);
    sim_check(op->fd >= 0 && (uint32_t) op->fd < disk->n_files);
    sim_check(op->off % disk->align == 0 && op->len % disk->align == 0);
    sim_check((uintptr_t) op->buf % disk->align == 0);

    if (io->in_flight >= io->depth) {
        return S3C_BUSY;
    }

    slot = &q->slots[q->n++];
    *slot = (sim_slot_t) { .op = op, .due = SIM_NEVER };
    io->in_flight++;

    if (!disk->lax) {
        if (op->kind == S3C_IO_READ) {
            memset(op->buf, 0xdb, op->len);

        } else {
            write_check(disk, op);
            slot->sum = s3c_hash64(op->buf, op->len);
        }
    }

    return S3C_OK;
}


static void
sim_io_submit(s3c_io_t *io)
{
    sim_queue_t  *q = (sim_queue_t *) io;

    if (q->n_submitted == q->n) {
        return;
    }

    for (uint32_t i = 0; i < q->n; i++) {
        if (!q->slots[i].submitted) {
            q->slots[i].submitted = true;
            slot_plan(q->disk, &q->slots[i]);
        }
    }

    q->n_submitted = q->n;
}


/* One that is due: the first, or any when there are delays. */
static bool
queue_take(sim_queue_t *q, sim_slot_t *out)
{
    uint32_t     n_due = 0, pick = 0;
    sim_disk_t  *disk = q->disk;

    for (uint32_t i = 0; i < q->n; i++) {
        if (q->slots[i].due > disk->usec) {
            continue;
        }

        if (n_due++ == 0) {
            pick = i;

            if (disk->delay_max_us == 0) {
                break;
            }

        } else if (sim_below(&disk->rng, n_due) == 0) {
            pick = i;
        }
    }

    if (n_due == 0 || disk->off) {
        return false;
    }

    *out = q->slots[pick];
    q->n--;
    q->n_submitted--;
    memmove(&q->slots[pick], &q->slots[pick + 1],
            (q->n - pick) * sizeof(sim_slot_t));

    return true;
}


static uint32_t
sim_io_reap(s3c_io_t *io)
{
    uint32_t      n = 0, n_max;
    sim_slot_t    slot;
    sim_queue_t  *q = (sim_queue_t *) io;

    /* what done() queues waits for the next submit */
    for (n_max = q->n_submitted; n < n_max; n++) {
        if (!queue_take(q, &slot)) {
            break;
        }

        slot_apply(q->disk, &slot);

        if (q->disk->off) {              /* nobody hears of it any more */
            sim_bury(slot.op);
            sim_bury(slot.op->buf);
            break;
        }

        io->in_flight--;
        slot.op->done(slot.op);
    }

    return n;
}


void
sim_queue_orphan(s3c_io_t *io)
{
    sim_queue_t  *q = (sim_queue_t *) io;

    /* what was never submitted dies with its process; so may what was, since
     * the kernel cancels what it has not begun */
    for (uint32_t i = q->n; i-- > 0; /* void */) {
        sim_bury(q->slots[i].op);
        sim_bury(q->slots[i].op->buf);

        if (!q->slots[i].submitted || sim_below(&q->disk->rng, 2) == 0) {
            q->slots[i] = q->slots[--q->n];
        }
    }

    q->n_submitted = q->n;

    q->orphan = true;
}


static const s3c_io_backend_t  sim_backend = {
    "simulated", sim_io_queue, sim_io_submit, sim_io_reap, sim_queue_orphan
};


s3c_io_t *
sim_disk_queue(sim_disk_t *disk, uint32_t depth)
{
    uint32_t      i;
    sim_queue_t  *q;

    /* an orphan that has nothing in flight leaves its place */
    for (i = 0; i < disk->n_queues; i++) {
        if (disk->queues[i]->orphan && disk->queues[i]->n == 0) {
            free(disk->queues[i]);
            break;
        }
    }

    sim_check(i < SIM_QUEUES_MAX);
    disk->n_queues += i == disk->n_queues;

    q = calloc(1, sizeof(*q) + depth * sizeof(sim_slot_t));
    sim_check(q != NULL);

    q->io.backend = &sim_backend;
    q->io.event_fd = -1;
    q->io.depth = depth;
    q->disk = disk;
    disk->queues[i] = q;

    return &q->io;
}


void
sim_disk_step(sim_disk_t *disk, uint64_t usec)
{
    sim_slot_t  slot;

    disk->usec += usec;

    for (uint32_t i = 0; i < disk->n_queues; i++) {
        if (disk->queues[i]->orphan) {
            while (queue_take(disk->queues[i], &slot)) {
                slot_apply(disk, &slot);
            }
        }
    }
}


/* The next end that is still to come; SIM_NEVER. */
uint64_t
sim_disk_next_due(const sim_disk_t *disk)
{
    uint64_t  due = SIM_NEVER;

    for (uint32_t i = 0; i < disk->n_queues; i++) {
        for (uint32_t j = 0; j < disk->queues[i]->n; j++) {
            uint64_t  d = disk->queues[i]->slots[j].due;

            if (d > disk->usec && d < due) {
                due = d;
            }
        }
    }

    return due;
}


uint32_t
sim_disk_in_flight(const sim_disk_t *disk, uint32_t *n_hung)
{
    uint32_t  n = 0, hung = 0;

    for (uint32_t i = 0; i < disk->n_queues; i++) {
        n += disk->queues[i]->n;

        for (uint32_t j = 0; j < disk->queues[i]->n; j++) {
            hung += disk->queues[i]->slots[j].hung;
        }
    }

    if (n_hung != NULL) {
        *n_hung = hung;
    }

    return n;
}


void
sim_disk_release(sim_disk_t *disk, int err)
{
    for (uint32_t i = 0; i < disk->n_queues; i++) {
        for (uint32_t j = 0; j < disk->queues[i]->n; j++) {
            sim_slot_t  *slot = &disk->queues[i]->slots[j];

            if (slot->hung) {
                slot->hung = false;
                slot->err = err;
                slot->due = disk->usec;
            }
        }
    }
}


/* --- power --------------------------------------------------------------- */

/* What of a write in flight has reached the cache: nothing, all, some. */
static void
slot_tear(sim_disk_t *disk, const sim_slot_t *slot)
{
    uint32_t      some;
    s3c_io_op_t  *op = slot->op;
    sim_file_t   *f = &disk->files[op->fd];

    if (!slot->submitted || op->kind == S3C_IO_READ) {
        return;
    }

    some = (uint32_t) sim_below(&disk->rng, 3) * 500;

    for (uint32_t at = 0; at < op->len; at += SIM_SECTOR) {
        if (op->off + at + SIM_SECTOR <= f->end
            && sim_below(&disk->rng, 1000) < some)
        {
            memcpy(f->seen + op->off + at, (uint8_t *) op->buf + at,
                   SIM_SECTOR);
            sim_file_dirty(f, op->off + at, SIM_SECTOR, true);
        }
    }
}


void
sim_disk_power_cut(sim_disk_t *disk)
{
    for (uint32_t i = 0; i < disk->n_queues; i++) {
        sim_queue_t  *q = disk->queues[i];

        for (uint32_t j = 0; j < q->n; j++) {
            slot_tear(disk, &q->slots[j]);
        }

        sim_queue_orphan(&q->io);
        q->n = q->n_submitted = 0;
    }

    for (uint32_t i = 0; i < disk->n_files; i++) {
        sim_file_settle(&disk->files[i], &disk->rng,
                        (uint32_t) sim_below(&disk->rng, 5) * 250);
    }

    disk->off = false;
    disk->cut_after = 0;
}


void
sim_disk_all_killed(sim_disk_t *disk)
{
    for (uint32_t i = 0; i < disk->n_queues; i++) {
        sim_queue_orphan(&disk->queues[i]->io);
    }
}
