/* SPDX-License-Identifier: Apache-2.0
 *
 * What hot keys are for: reads by Zipf 1.0 of a million keys at all nodes of a
 * ring, each node with its sketch, its budget and its mirrors. A node's load is
 * its clients' requests and the questions of other nodes; nobody is told which
 * keys are hot.
 */
#include "ring_cases.h"
#include "cluster/hot.h"

#include <math.h>

#define KEYS       1000000u
#define LIFE_MS    10000u               /* the default */
#define RATE       1000u                /* reads of its clients, a second */
#define SECONDS    25u
#define BYTES      (16u << 10)          /* of an object */
#define LIMIT      (51u << 20)          /* 5 % of a zone of 1 GiB */
#define PLACES     (1u << 16)           /* power of 2 */
#define LOAD_MAX   1.2

typedef struct {
    uint32_t  key;                      /* 0: none */
    uint64_t  until_ms;
} mirror_t;

typedef struct {
    s3c_hot_sh_t         hot;
    s3c_hot_budget_sh_t  budget;
    mirror_t             mirrors[PLACES];
    uint32_t             n_mirrors;
    uint64_t             load, late;     /* of all time; without the begin */
} node_t;

typedef struct {
    double  all, late, mirrors;
} result_t;

/* Walker's alias method */
static uint32_t  alias[KEYS];
static double    keep[KEYS];


static int
make_zipf(void **state)
{
    double    sum = 0, *p = malloc(KEYS * sizeof(*p));
    uint32_t  n_small = 0, n_large = 0, i, s, l,
              *small = malloc(KEYS * sizeof(*small)),
              *large = malloc(KEYS * sizeof(*large));

    (void) state;

    for (i = 0; i < KEYS; i++) {
        sum += 1.0 / (i + 1);
    }

    for (i = 0; i < KEYS; i++) {
        p[i] = KEYS / (sum * (i + 1));
        if (p[i] < 1) {
            small[n_small++] = i;
        } else {
            large[n_large++] = i;
        }
    }

    while (n_small > 0 && n_large > 0) {
        s = small[--n_small];
        l = large[--n_large];
        keep[s] = p[s];
        alias[s] = l;
        p[l] -= 1 - p[s];
        if (p[l] < 1) {
            small[n_small++] = l;
        } else {
            large[n_large++] = l;
        }
    }

    while (n_small > 0) {
        keep[small[--n_small]] = 1;
    }

    while (n_large > 0) {
        keep[large[--n_large]] = 1;
    }

    free(p);
    free(small);
    free(large);

    return 0;
}


static uint32_t
draw_key(uint64_t *seed)
{
    uint64_t  r = draw(seed);
    uint32_t  i = (uint32_t) ((r >> 32) * KEYS >> 32);

    return (double) (uint32_t) r / 4294967296.0 < keep[i] ? i : alias[i];
}


static mirror_t *
mirror_of(node_t *node, uint32_t key)
{
    uint32_t  at = key * 2654435761u;

    for (at = at >> 16; /* void */; at++) {
        mirror_t  *m = &node->mirrors[at & (PLACES - 1)];

        if (m->key == key + 1) {
            return m;
        }

        if (m->key == 0) {
            assert_true(++node->n_mirrors < PLACES / 4 * 3);
            m->key = key + 1;
            return m;
        }
    }
}


/* One read of a key at a node; answers whether the owner was asked. */
static bool
read_one(node_t *node, s3c_hot_rule_t rule, uint32_t key, uint64_t world,
    uint64_t now_ms)
{
    uint32_t   heat;
    uint64_t   seed = world + key;
    mirror_t  *m;
    s3c_hash128_t  hash = { draw(&seed), draw(&seed) };

    heat = s3c_hot_read(&node->hot, rule, hash, now_ms);

    if (heat == 0 && node->n_mirrors == 0) {
        return true;
    }

    if (heat == 0) {
        /* do not make a place for it */
        uint32_t  at = (key * 2654435761u) >> 16;

        while (node->mirrors[at & (PLACES - 1)].key != key + 1) {
            if (node->mirrors[at++ & (PLACES - 1)].key == 0) {
                return true;
            }
        }
    }

    m = mirror_of(node, key);

    if (now_ms < m->until_ms) {
        return false;
    }

    if (heat > 0 && s3c_hot_spend(&node->budget, BYTES, LIMIT, heat, LIFE_MS,
                                  now_ms))
    {
        m->until_ms = now_ms + LIFE_MS;
    }

    return true;
}


static result_t
run_ring(uint32_t n, uint64_t world, bool mirrors)
{
    double           sum = 0, most = 0, late_sum = 0, late_most = 0;
    node_t          *nodes = calloc(n, sizeof(node_t));
    uint16_t         owner;
    uint32_t         at, key;
    uint64_t         i, place, seed = world, now_ms = 0, reads;
    result_t         result = { 0 };
    s3c_ring_t      *ring = build_ring(plain_cast(n, false));
    s3c_hot_rule_t   rule = s3c_hot_rule(n);

    assert_non_null(nodes);
    reads = (uint64_t) n * RATE * SECONDS;

    for (i = 0; i < reads; i++) {
        now_ms = (1ull << 40) + i * 1000 / ((uint64_t) n * RATE);
        at = (uint32_t) (draw(&seed) % n);
        key = draw_key(&seed);
        place = world ^ (key * 0x9e3779b97f4a7c15ull);
        owner = s3c_ring_find(ring, draw(&place))[0];

        nodes[at].load++;
        nodes[at].late += i > reads * LIFE_MS / 1000 / SECONDS;

        if (owner != at
            && (!mirrors || read_one(&nodes[at], rule, key, world, now_ms)))
        {
            nodes[owner].load++;
            nodes[owner].late += i > reads * LIFE_MS / 1000 / SECONDS;
        }
    }

    for (i = 0; i < n; i++) {
        sum += nodes[i].load;
        late_sum += nodes[i].late;
        most = fmax(most, nodes[i].load);
        late_most = fmax(late_most, nodes[i].late);
        result.mirrors += (double) nodes[i].n_mirrors / n;
        assert_true(s3c_hot_spent(&nodes[i].budget, LIFE_MS, now_ms) <= LIMIT);
    }

    result.all = most * n / sum;
    result.late = late_most * n / late_sum;
    free(ring);
    free(nodes);

    return result;
}


static void
check_ring(uint32_t n, uint32_t worlds, double off_min)
{
    result_t  off, on, worst_off = { 0 }, worst = { 0 };

    for (uint32_t w = 0; w < worlds; w++) {
        off = run_ring(n, 1000 + w, false);
        on = run_ring(n, 1000 + w, true);
        worst_off.all = fmax(worst_off.all, off.all);
        worst.all = fmax(worst.all, on.all);
        worst.late = fmax(worst.late, on.late);
        worst.mirrors = fmax(worst.mirrors, on.mirrors);
    }

    print_message("%4u nodes, %2u draws: max/mean %.2f without, %.2f from the "
                  "first read on, %.2f after %u s; keys mirrored %.0f\n",
                  n, worlds, worst_off.all, worst.all, worst.late,
                  LIFE_MS / 1000, worst.mirrors);

    assert_true(worst_off.all >= off_min);
    assert_true(worst.all <= LOAD_MAX);
    assert_true(worst.late <= LOAD_MAX);
}


static void
three_nodes_are_loaded_alike(void **state)
{
    (void) state;
    check_ring(3, 8, 1.05);
}


static void
five_nodes_are_loaded_alike(void **state)
{
    (void) state;
    check_ring(5, 8, 1.1);
}


static void
a_hundred_nodes_are_loaded_alike(void **state)
{
    (void) state;
    check_ring(100, 1, 3);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(three_nodes_are_loaded_alike),
        cmocka_unit_test(five_nodes_are_loaded_alike),
        cmocka_unit_test(a_hundred_nodes_are_loaded_alike),
    };

    return cmocka_run_group_tests(tests, make_zipf, NULL);
}
