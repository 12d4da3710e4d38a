/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring by number of members and weights (all equal, or 1:2:4 in turn).
 * Shares are exact: slots are counted, no keys are drawn. Names are drawn from
 * a fixed seed, so that all but the times is the same in every run.
 *
 *   max min     first-owned slots per weight / mean, over all memberships
 *   2nd 3rd     the same of the other places, maximum
 *   add.. set   slots whose first owner changed when one member was added,
 *               removed, or given another weight / slots that it got or lost;
 *               mean of all changes (and the worst)
 *   heir        of a removed member's slots, those whose second owner came
 *               first then
 *   spread      of a dead member's slots, what the most loaded of the others
 *               takes over per weight / mean; and its whole load then / mean
 *   find        ns of a look-up, the points drawn at random and known before
 *   build step  processor ms of a build; of its longest step (the best of 3)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/ring.h"

#define N_MAX    1001u
#define POINTS   (1u << 16)
#define FINDS    (1u << 24)

typedef struct {
    double    sum;
    double    worst;
    uint32_t  n;
} mean_t;

static char                names[N_MAX + 64][16];
static s3c_ring_member_t   members[N_MAX + 64];
static uint64_t            points[POINTS];
static uint64_t            seed;
static volatile uint64_t   sink;


static double
cpu_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec / 1e6;
}


static uint64_t
draw(void)
{
    uint64_t  z = seed += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;

    return z ^ z >> 31;
}


static void
draw_members(uint32_t n, bool weighted)
{
    for (uint32_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "n%08x", (uint32_t) draw());
        members[i] = (s3c_ring_member_t) {
            .name = s3c_slice(names[i], strlen(names[i])),
            .weight = weighted ? 1u << i % 3 : 1,
        };
    }
}


static s3c_ring_t *
build(uint32_t n)
{
    size_t       bytes = s3c_ring_bytes(n, n * sizeof(names[0]));
    s3c_ring_t  *ring = aligned_alloc(64, (bytes + 63) / 64 * 64);

    if (ring == NULL || s3c_ring_build(ring, bytes, members, n) != S3C_OK) {
        abort();
    }

    return ring;
}


static double
ratio(const s3c_ring_t *ring, uint32_t i, uint32_t place)
{
    return (double) s3c_ring_share(ring, (uint16_t) i, place) * ring->weight
           / s3c_ring_weight(ring, (uint16_t) i) / S3C_RING_SLOTS;
}


static void
add(mean_t *m, double x)
{
    m->sum += x;
    m->worst = x > m->worst ? x : m->worst;
    m->n++;
}


/* `name` is in `with`; `without` has it not, or has it with another weight. */
static void
count_moves(const s3c_ring_t *with, const s3c_ring_t *without,
    s3c_slice_t name, mean_t *moves, mean_t *heirs)
{
    uint16_t  member, map[N_MAX + 64];
    uint32_t  moved = 0, own = 0, heir = 0;

    for (uint32_t i = 0; i < s3c_ring_members(with); i++) {
        map[i] = s3c_ring_member(without, s3c_ring_name(with, (uint16_t) i));
    }

    member = s3c_ring_member(with, name);

    for (uint32_t i = 0; i < S3C_RING_SLOTS; i++) {
        if (map[with->owners[i][0]] == without->owners[i][0]) {
            continue;
        }

        moved++;
        own += with->owners[i][0] == member
               || without->owners[i][0] == map[member];
        heir += with->owners[i][0] == member
                && map[with->owners[i][1]] == without->owners[i][0];
    }

    add(moves, (double) moved / own);

    if (heirs != NULL) {
        add(heirs, (double) heir / own);
    }
}


static void
count_spread(const s3c_ring_t *ring, uint16_t dead, mean_t *spread,
    mean_t *after)
{
    double    take, load, most = 0, most_after = 0;
    uint32_t  left, n_taken[N_MAX + 64] = { 0 };

    for (uint32_t i = 0; i < S3C_RING_SLOTS; i++) {
        if (ring->owners[i][0] == dead) {
            n_taken[ring->owners[i][1]]++;
        }
    }

    left = ring->weight - s3c_ring_weight(ring, dead);

    for (uint16_t i = 0; i < s3c_ring_members(ring); i++) {
        take = (double) n_taken[i] * left / s3c_ring_weight(ring, i);
        load = take + (double) s3c_ring_share(ring, i, 0) * left
                      / s3c_ring_weight(ring, i);

        if (i != dead) {
            most = take > most ? take : most;
            most_after = load > most_after ? load : most_after;
        }
    }

    add(spread, most / s3c_ring_share(ring, dead, 0));
    add(after, most_after / S3C_RING_SLOTS);
}


static double
find_ns(const s3c_ring_t *ring)
{
    double    start;
    uint64_t  sum = 0;

    start = cpu_ms();

    for (uint32_t i = 0; i < FINDS; i++) {
        sum += s3c_ring_find(ring, points[i % POINTS])[0];
    }

    sink = sum;

    return (cpu_ms() - start) / FINDS * 1e6;
}


static void
time_build(uint32_t n, double *whole, double *longest)
{
    double               t, step, sum;
    size_t               bytes = s3c_ring_bytes(n, n * sizeof(names[0]));
    s3c_status_t         st;
    s3c_ring_t          *ring = aligned_alloc(64, (bytes + 63) / 64 * 64);
    s3c_ring_builder_t  *b;

    *whole = *longest = 1e9;

    for (int run = 0; run < 3; run++) {
        step = 0;
        sum = t = cpu_ms();

        if (s3c_ring_builder_create(&b, ring, bytes, members, n) != S3C_OK) {
            abort();
        }

        do {
            st = s3c_ring_build_step(b, S3C_RING_STEP);
            step = cpu_ms() - t > step ? cpu_ms() - t : step;
            t = cpu_ms();
        } while (st == S3C_AGAIN);

        sum = t - sum;
        s3c_ring_builder_destroy(b);
        *whole = sum < *whole ? sum : *whole;
        *longest = step < *longest ? step : *longest;
    }

    free(ring);
}


static void
say(const mean_t *m)
{
    printf(" %5.3f (%5.3f)", m->sum / m->n, m->worst);
}


static void
measure(uint32_t n, bool weighted, uint32_t memberships, uint32_t changes)
{
    double             r, whole, longest, ns = 0;
    double             max[S3C_RING_OWNERS] = { 0 }, min = 9;
    mean_t             added = { 0 }, removed = { 0 }, set = { 0 };
    mean_t             heirs = { 0 }, spread = { 0 }, after = { 0 };
    uint32_t           which;
    s3c_ring_t        *ring, *other;
    s3c_ring_member_t  keep;

    for (uint32_t run = 0; run < memberships; run++) {
        draw_members(n + changes, weighted);
        ring = build(n);

        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t place = 0; place < S3C_RING_OWNERS; place++) {
                r = ratio(ring, i, place);
                max[place] = r > max[place] ? r : max[place];
                min = place == 0 && r < min ? r : min;
            }
        }

        for (uint32_t i = 0; i < changes; i++) {
            keep = members[n];
            members[n] = members[n + i];
            other = build(n + 1);
            count_moves(other, ring, members[n].name, &added, NULL);
            free(other);
            members[n] = keep;

            which = (uint32_t) (draw() % n);
            count_spread(ring, s3c_ring_member(ring, members[which].name),
                         &spread, &after);
            keep = members[which];
            members[which] = members[n - 1];
            other = build(n - 1);
            count_moves(ring, other, keep.name, &removed, &heirs);
            free(other);
            members[which] = keep;

            members[which].weight *= 2;
            other = build(n);
            count_moves(ring, other, keep.name, &set, NULL);
            free(other);
            members[which] = keep;
        }

        ns = find_ns(ring);
        free(ring);
    }

    time_build(n, &whole, &longest);

    printf("%4u %-5s %5.3f %5.3f %5.3f %5.3f", n, weighted ? "1:2:4" : "equal",
           max[0], min, max[1], max[2]);
    say(&added);
    say(&removed);
    say(&set);
    printf(" %5.3f", heirs.sum / heirs.n);
    say(&spread);
    say(&after);
    printf(" %4.1f %5.1f %4.2f\n", ns, whole, longest);
    fflush(stdout);
}


int
main(int argc, char **argv)
{
    uint32_t               runs;
    static const uint32_t  sizes[] = { 3, 5, 10, 30, 100, 300, 1000 };

    /* for a quick look: how many memberships, 8 by default */
    runs = argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 10) : 8;
    seed = 20240229;

    for (uint32_t i = 0; i < POINTS; i++) {
        points[i] = draw();
    }

    printf("%4s %-5s %5s %5s %5s %5s %-13s %-13s %-13s %5s %-13s %-13s %4s %5s"
           " %4s\n", "n", "", "max", "min", "2nd", "3rd", " add", " remove",
           " set", "heir", " spread", " after", "find", "build", "step");

    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure(sizes[i], false, runs, 4);
        measure(sizes[i], true, runs, 4);
    }

    return 0;
}
