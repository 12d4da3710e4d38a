/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays a sequence of requests through the memory tier itself, with both
 * policies, and prints miss ratios. Entries, extents, eviction are the real
 * ones; only payloads are not copied. So packing and index cost count, too:
 * the cache size is the size of the whole region.
 *
 *     replay                    all the models below, fixed seeds
 *     replay NAME...            a model, or a text file of `time key size` a
 *                               line, sizes cut to blocks of 1 MiB as the
 *                               module does
 *
 * `make replay` builds and runs it.
 *
 * MODELS  (each 1 M requests; sizes lognormal, median 12 KiB, sigma 1.4, cut
 * to 512 B .. 1 MiB and tied to the object, not to its popularity)
 *   zipf08, zipf10   150 k objects, independent requests, Zipf 0.8 and 1.0
 *   churn            300 k objects, each alive for a log-uniform share (0.5 to
 *                    100 %) of the run from a random moment on; Zipf 0.9
 *                    weights; requests go to those alive
 *   epochs           140 k files read in a new random order again and again
 *   mix              7 of 10 requests zipf10 over 60 k, 3 of 10 from a scan
 *                    of 100 k other files in the same order over and over
 *
 * Independent requests flatter a policy that counts, and the models are made
 * up: they say that a policy does what it should, not what a site will see.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ram/ram.h"

typedef struct {
    uint64_t  key;
    uint32_t  size;
} request_t;

typedef struct {
    request_t  *r;
    size_t      n;
    uint64_t    footprint;
} trace_t;

#define REQUESTS  1000000


static uint64_t
rng_next(uint64_t *s)
{
    uint64_t  z = *s += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static double
uniform(uint64_t *s)
{
    return (double) (rng_next(s) >> 11) / 9007199254740992.0;
}


static uint32_t
size_of(uint64_t key)
{
    double    x = 0;
    uint64_t  s = key * 7919 + 17;

    for (int i = 0; i < 12; i++) {
        x += uniform(&s);
    }

    x = 12288 * exp(1.4 * (x - 6));

    return x < 512 ? 512 : x > 1048576 ? 1048576 : (uint32_t) x;
}


static void
ask(trace_t *t, uint64_t key)
{
    t->r[t->n++] = (request_t) { key, size_of(key) };
}


/* Cumulated weights of 1 / rank^a. */
static double *
zipf_make(int n, double a)
{
    double  *c = malloc(n * sizeof(*c)), sum = 0;

    for (int i = 0; i < n; i++) {
        sum += 1 / pow(i + 1, a);
        c[i] = sum;
    }

    return c;
}


static int
zipf_draw(const double *c, int n, uint64_t *s)
{
    int     lo = 0, hi = n - 1, mid;
    double  x = uniform(s) * c[n - 1];

    while (lo < hi) {
        mid = (lo + hi) / 2;

        if (c[mid] < x) {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    return lo;
}


static void
make_zipf(trace_t *t, double a)
{
    uint64_t  s = 1;
    double   *c = zipf_make(150000, a);

    while (t->n < REQUESTS) {
        ask(t, zipf_draw(c, 150000, &s));
    }

    free(c);
}


static void
make_churn(trace_t *t)
{
    int       i, n = 300000;
    uint64_t  s = 2;
    double    now, *c = zipf_make(n, 0.9), *born = malloc(n * sizeof(*born)),
             *dies = malloc(n * sizeof(*dies));

    for (i = 0; i < n; i++) {
        double  life = pow(200, -uniform(&s));

        born[i] = uniform(&s) * (1 + life) - life;
        dies[i] = born[i] + life;
    }

    while (t->n < REQUESTS) {
        i = zipf_draw(c, n, &s);
        now = (double) t->n / REQUESTS;

        if (born[i] <= now && now < dies[i]) {
            ask(t, i);
        }
    }

    free(c);
    free(born);
    free(dies);
}


static void
make_epochs(trace_t *t)
{
    int       i, j, tmp, n = 140000, *order = malloc(n * sizeof(*order));
    uint64_t  s = 3;

    for (i = 0; i < n; i++) {
        order[i] = i;
    }

    while (t->n < REQUESTS) {
        for (i = n - 1; i > 0; i--) {
            j = (int) (rng_next(&s) % (i + 1));
            tmp = order[i];
            order[i] = order[j];
            order[j] = tmp;
        }

        for (i = 0; i < n && t->n < REQUESTS; i++) {
            ask(t, order[i]);
        }
    }

    free(order);
}


static void
make_mix(trace_t *t)
{
    uint64_t  s = 4, scan = 0;
    double   *c = zipf_make(60000, 1.0);

    while (t->n < REQUESTS) {
        if (rng_next(&s) % 10 < 7) {
            ask(t, zipf_draw(c, 60000, &s));

        } else {
            ask(t, 1000000 + scan++ % 100000);
        }
    }

    free(c);
}


/* A key is hashed as it stands; a size over 1 MiB becomes several blocks. */
static void
make_file(trace_t *t, const char *name)
{
    char                key[4096];
    double              when;
    size_t              room = t->n;
    unsigned long long  size, block;
    FILE               *f = fopen(name, "r");

    if (f == NULL) {
        perror(name);
        exit(1);
    }

    while (fscanf(f, "%lf %4095s %llu", &when, key, &size) == 3) {
        for (block = 0; block * 1048576 < size || block == 0; block++) {
            unsigned long long  left = size - block * 1048576;

            if (t->n == room) {
                room = room * 2 + 1024;
                t->r = realloc(t->r, room * sizeof(*t->r));
            }

            t->r[t->n++] = (request_t) {
                s3c_hash64(key, strlen(key)) + block,
                (uint32_t) (left < 1048576 ? left : 1048576)
            };
        }
    }

    fclose(f);
}


static int
by_key(const void *a, const void *b)
{
    uint64_t  x = ((const request_t *) a)->key;
    uint64_t  y = ((const request_t *) b)->key;

    return x < y ? -1 : x > y;
}


static void
footprint_set(trace_t *t)
{
    request_t  *r = malloc(t->n * sizeof(*r));

    memcpy(r, t->r, t->n * sizeof(*r));
    qsort(r, t->n, sizeof(*r), by_key);

    for (size_t i = 0; i < t->n; i++) {
        if (i == 0 || r[i].key != r[i - 1].key) {
            t->footprint += r[i].size;
        }
    }

    free(r);
}


static void
wake(void *ctx, uint32_t slot)
{
    (void) ctx;
    (void) slot;
}


typedef struct {
    double  objects;
    double  bytes;
    double  payload;       /* share of the region at the end */
} miss_t;


static miss_t
run(const trace_t *t, s3c_ram_policy_t policy, size_t bytes)
{
    void            *region;
    size_t           i;
    uint64_t         now = 0, missed = 0, missed_bytes = 0, all = 0;
    s3c_ram_t       *ram;
    s3c_status_t     st;
    s3c_ram_pin_t    pin;
    s3c_ram_conf_t   conf = {
        .policy = policy, .n_slots = 32, .n_fills = 1024,
        .fill_bytes_max = bytes
    };
    s3c_ram_usage_t  u;

    region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (region == MAP_FAILED
        || s3c_ram_format(region, bytes, &conf) != S3C_OK
        || s3c_ram_join(&ram, region, bytes, wake, NULL, 0) != S3C_OK)
    {
        fprintf(stderr, "no region of %zu bytes\n", bytes);
        exit(1);
    }

    for (i = 0; i < t->n; i++) {
        const request_t  *r = &t->r[i];
        uint64_t          s = r->key;
        s3c_hash128_t     key = { .lo = rng_next(&s), .hi = rng_next(&s) };

        now += 4;                        /* one tick a request */
        all += r->size;

        if (s3c_ram_find(ram, key, now, &pin) == S3C_OK) {
            s3c_ram_unpin(ram, &pin);
            continue;
        }

        missed++;
        missed_bytes += r->size;
        st = s3c_ram_fill_begin(ram, key, now, &pin);

        if (st == S3C_OK) {
            st = s3c_ram_fill_alloc(ram, &pin, r->size, 512, now);

            if (st == S3C_OK) {
                (void) s3c_ram_fill_commit(ram, &pin, now);

            } else {
                s3c_ram_fill_fail(ram, &pin, 1);
            }
        }

        s3c_ram_unpin(ram, &pin);
    }

    s3c_ram_usage(ram, &u);
    s3c_ram_leave(ram);
    munmap(region, bytes);

    return (miss_t) {
        (double) missed / (double) t->n, (double) missed_bytes / (double) all,
        (double) u.payload_bytes / (double) u.region_bytes
    };
}


static void
table(trace_t *t, const char *name)
{
    size_t              bytes;
    miss_t              lru, fifo;
    static const double shares[] = { 0.001, 0.01, 0.05, 0.10, 0.20 };

    footprint_set(t);
    printf("\n%s: %zu requests, footprint %.2f GB\n", name, t->n,
           (double) t->footprint / 1e9);
    printf("| cache | lru objects | lru bytes | s3fifo objects | s3fifo bytes |"
           " fewer objects | fewer bytes | payload lru/s3fifo |\n"
           "|---|---|---|---|---|---|---|---|\n");

    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        bytes = (size_t) (shares[i] * (double) t->footprint) & ~(size_t) 4095;

        if (bytes < S3C_RAM_MIN_BYTES) {
            printf("| %.1f %% | (below the smallest region) |||||||\n",
                   100 * shares[i]);
            continue;
        }

        lru = run(t, S3C_RAM_LRU, bytes);
        fifo = run(t, S3C_RAM_S3FIFO, bytes);
        printf("| %.1f %% | %.4f | %.4f | %.4f | %.4f | %+.1f %% | %+.1f %% |"
               " %.1f/%.1f %% |\n",
               100 * shares[i], lru.objects, lru.bytes, fifo.objects,
               fifo.bytes, 100 * (1 - fifo.objects / lru.objects),
               100 * (1 - fifo.bytes / lru.bytes), 100 * lru.payload,
               100 * fifo.payload);
        fflush(stdout);
    }
}


static const struct {
    const char  *name;
    int          kind;
} models[] = {
    { "zipf08", 0 }, { "zipf10", 1 }, { "churn", 2 }, { "epochs", 3 },
    { "mix", 4 }
};


static bool
make_model(trace_t *t, const char *name)
{
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i].name, name) != 0) {
            continue;
        }

        t->r = malloc(REQUESTS * sizeof(*t->r));

        switch (models[i].kind) {
        case 0:
            make_zipf(t, 0.8);
            break;
        case 1:
            make_zipf(t, 1.0);
            break;
        case 2:
            make_churn(t);
            break;
        case 3:
            make_epochs(t);
            break;
        default:
            make_mix(t);
            break;
        }

        return true;
    }

    return false;
}


static void
one(const char *name)
{
    trace_t  t = { NULL, 0, 0 };

    if (!make_model(&t, name)) {
        make_file(&t, name);
    }

    table(&t, name);
    free(t.r);
}


int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        one(argv[i]);
    }

    for (size_t i = 0; argc == 1 && i < sizeof(models) / sizeof(models[0]);
         i++)
    {
        one(models[i].name);
    }

    return 0;
}
