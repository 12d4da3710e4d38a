/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated disk behind s3c_io_t, and what the tests of the flash tier need
 * around it: a clock, an environment, zones and workers. All of it follows
 * from one seed.
 *
 * DISK     files in memory, in two images: what a reader sees, and what is on
 *          stable storage. A power cut keeps of every 512 B sector that was
 *          not yet stable either the old or the new bytes.
 * QUEUES   one a worker. Operations end in random order after a random delay
 *          on the virtual clock, or at once (delay_max_us 0, in order).
 * STRICT   misaligned operations, writes that overlap in flight and buffers
 *          changed in flight abort the test: O_DIRECT would refuse or tear.
 * WORKERS  live in the caller's thread, or in a thread of their own, which can
 *          die: robust locks are held by threads. Only one runs at a time.
 */
#ifndef T_UNIT_SSD_SIM_DISK_H
#define T_UNIT_SSD_SIM_DISK_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ssd/ssd_media.h"

#define SIM_SECTOR       512u
#define SIM_WALL_S       1795219200ull   /* at usec 0: 2026-11-21 */
#define SIM_FILES_MAX    S3C_SSD_STORES_MAX
#define SIM_FAULTS_MAX   32
#define SIM_QUEUES_MAX   64
#define SIM_WORKERS_MAX  16

/* --- chance -------------------------------------------------------------- */

static inline uint64_t
sim_rng(uint64_t *state)
{
    uint64_t  z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}

/* In [0, n); 0 if n is 0. */
static inline uint64_t
sim_below(uint64_t *state, uint64_t n)
{
    uint64_t  r = sim_rng(state);

    return n == 0 ? 0 : r % n;
}

/* Prints and aborts: unlike cmocka's asserts fit for any thread. */
#define sim_check(cond)  \
    ((cond) ? (void) 0 : sim_abort(__FILE__, __LINE__, #cond))
void sim_abort(const char *file, int line, const char *what)
    __attribute__((noreturn));

/* --- disk ---------------------------------------------------------------- */

typedef enum {
    SIM_EIO = 0,
    SIM_ENOSPC,
    SIM_SHORT,        /* fewer bytes are moved, a multiple of `align` */
    SIM_HANG,         /* does not end before sim_disk_release */
    SIM_FLIP,         /* one bit: of what a read answers, a write stores */
    SIM_LATE          /* ends `late_us` later than it would */
} sim_what_t;

enum { SIM_ANY = -1, SIM_READS = 0, SIM_WRITES };

typedef struct {
    sim_what_t  what;
    int         file;          /* or SIM_ANY */
    int         kind;          /* SIM_READS, SIM_WRITES, SIM_ANY */
    uint64_t    off, len;      /* only operations that touch it; len 0: all */
    uint32_t    skip;          /* so many of them are left alone first */
    uint32_t    times;         /* 0: for ever */
    uint32_t    one_in;        /* by chance; 0, 1: each */
    uint64_t    late_us;
} sim_fault_t;

typedef struct {
    uint8_t    *seen;          /* with the volatile cache */
    uint8_t    *stable;
    uint8_t    *dirty;         /* a bit a sector: the two may differ */
    uint64_t    bytes;         /* allocated */
    uint64_t    end;           /* bytes that are there (truncate) */
    bool        lock_refused;  /* another process holds it */
    uint64_t    n_reads, read_bytes;
    uint64_t    n_writes, written_bytes, n_dsync;
    uint64_t    last_read_off;
    uint32_t    last_read_len;
} sim_file_t;

typedef struct sim_disk_s   sim_disk_t;
typedef struct sim_queue_s  sim_queue_t;

struct sim_disk_s {
    uint64_t      rng;
    uint64_t      usec;            /* the clock of all */
    bool          no_wall;         /* none that tells the date */
    uint32_t      delay_min_us, delay_max_us;
    uint32_t      align;           /* of off, len and memory; default 512 */
    bool          dsync_flushes;   /* a DSYNC makes all that was written before
                                      stable; else by chance */
    bool          write_through;   /* every write is stable when it ends */
    bool          lax;             /* no checks of buffers in flight: fast */

    sim_file_t    files[SIM_FILES_MAX];
    uint32_t      n_files;
    sim_fault_t   faults[SIM_FAULTS_MAX];
    uint32_t      n_faults;
    sim_queue_t  *queues[SIM_QUEUES_MAX];
    uint32_t      n_queues;

    uint64_t      n_writes;        /* all files, as they reach the disk */
    uint64_t      cut_after;       /* power goes after so many; 0: never */
    bool          off;             /* it has gone: nothing ends any more */

    /* after each write that has reached the disk, whole */
    void        (*on_write)(void *ctx, uint32_t file, s3c_io_kind_t kind,
                            uint64_t off, const uint8_t *data, uint32_t len);
    void         *ctx;
};

/* Files 0.. n - 1 of so many zero bytes; immediate until a delay is set. */
void sim_disk_init(sim_disk_t *disk, uint64_t seed, uint32_t n_files,
    uint64_t bytes);
void sim_disk_fini(sim_disk_t *disk);

/* A queue for one worker; its close() keeps what is in flight going, as the
 * kernel does. fd of an op: the number of the file. */
s3c_io_t *sim_disk_queue(sim_disk_t *disk, uint32_t depth);

/* The clock goes on. Ends are still delivered by reap() alone. */
void sim_disk_step(sim_disk_t *disk, uint64_t usec);
/* Operations in flight in all queues; hung ones of them. */
uint32_t sim_disk_in_flight(const sim_disk_t *disk, uint32_t *n_hung);

/* The plan; the first that fits an operation counts. */
void sim_disk_fault(sim_disk_t *disk, sim_fault_t fault);
void sim_disk_no_faults(sim_disk_t *disk);
/* What hangs ends with the next reap: well, or with this errno. */
void sim_disk_release(sim_disk_t *disk, int err);

/* Straight into both images. */
void sim_disk_flip(sim_disk_t *disk, uint32_t file, uint64_t off,
    uint32_t bit);
void sim_disk_read(sim_disk_t *disk, uint32_t file, uint64_t off, void *to,
    size_t len);
void sim_disk_write(sim_disk_t *disk, uint32_t file, uint64_t off,
    const void *from, size_t len);
void sim_disk_truncate(sim_disk_t *disk, uint32_t file, uint64_t bytes);

/* Power goes and comes back: what was in flight reached the disk in part or
 * not at all, what was not stable is old or new, sector by sector, and nobody
 * hears of it. The queues must not be used again. */
void sim_disk_power_cut(sim_disk_t *disk);
/* All processes die, the machine goes on: what is in flight still ends. */
void sim_disk_all_killed(sim_disk_t *disk);

/* --- zone and workers ---------------------------------------------------- */

typedef struct sim_worker_s  sim_worker_t;

typedef struct {
    sim_disk_t      *disk;
    sim_worker_t    *workers[SIM_WORKERS_MAX];   /* that have joined */
    s3c_ssd_conf_t   conf;
    void            *region;
    uint64_t         bytes;
    uint64_t         n_log[S3C_SSD_LOG_BACK + 1];
    uint64_t         n_observed[S3C_SSD_WRITE_TIME + 1];
    uint64_t         last_log_n;
    const char      *last_log_word;
    bool             loud;             /* print log lines */
} sim_zone_t;

struct sim_worker_s {
    sim_zone_t      *zone;
    s3c_io_t        *io;
    s3c_ssd_env_t    env;
    s3c_ssd_t       *ssd;
    uint64_t         run_us;           /* when run() was called last */
    /* a thread of its own */
    bool             threaded;
    pthread_t        thread;
    sem_t            go, did;
    void           (*fn)(void *arg);
    void            *arg;
};

/* n_stores of n_segments + 1 segments, 4 slots, an object per 16 KiB, no
 * budget, align 512, 1 s; the secret follows from the disk's seed. */
void sim_conf(s3c_ssd_conf_t *conf, sim_disk_t *disk, uint32_t n_stores,
    uint32_t segment_bytes, uint32_t n_segments);
/* Shared memory for conf, aligned to 64 bytes, formatted. */
void sim_zone_format(sim_zone_t *zone, sim_disk_t *disk,
    const s3c_ssd_conf_t *conf);
void sim_zone_fini(sim_zone_t *zone);

/* A queue and an environment alone. */
void sim_worker_init(sim_worker_t *worker, sim_zone_t *zone);
/* The same and s3c_ssd_join; `threaded`: in a thread of its own. */
s3c_status_t sim_worker_join(sim_worker_t *worker, sim_zone_t *zone,
    bool threaded);
/* fn(arg) in the worker's thread; waits for it. */
void sim_worker_call(sim_worker_t *worker, void (*fn)(void *arg), void *arg);
/* One turn of its event loop: run() if it is time, submit, reap until 0. */
void sim_worker_turn(sim_worker_t *worker);
/* quiesce, turns of all until it is idle (at most 10 s), leave. */
void sim_worker_leave(sim_worker_t *worker);
/* kill -9 (threaded workers only): no leave; its memory stays, reachable. */
void sim_worker_kill(sim_worker_t *worker);

/* Turns of all these workers and steps of the clock until cond(ctx), or for
 * limit_ms: false. Workers without a handle are passed over. */
bool sim_run_until(sim_disk_t *disk, sim_worker_t *workers, uint32_t n,
    bool (*cond)(void *ctx), void *ctx, uint64_t limit_ms);
/* The same without a condition. */
void sim_run_for(sim_disk_t *disk, sim_worker_t *workers, uint32_t n,
    uint64_t ms);
/* The same for a long time, in which run() is not called as often. */
void sim_run_long(sim_disk_t *disk, sim_worker_t *workers, uint32_t n,
    uint64_t ms);
/* Every store serves (by usage of the first worker with a handle). */
bool sim_run_until_serving(sim_disk_t *disk, sim_worker_t *workers,
    uint32_t n, uint64_t limit_ms);

static inline uint64_t
sim_now_ms(const sim_disk_t *disk)
{
    return disk->usec / 1000;
}

#endif
