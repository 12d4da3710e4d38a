/* SPDX-License-Identifier: Apache-2.0
 *
 * The other owners. The second is the member of the lowest key in another zone
 * than the first's, the third the same in a zone that neither has. Where there
 * is no such zone, any other member; where all are in one zone, zones do not
 * count. Nor does the cap.
 *
 * The turns of all members up to a horizon are shown to the slots. What then
 * has too few owners is repaired slot by slot, by the inverse permutations.
 */
#include "cluster/ring_build.h"

#define TURNS_WANTED  6u     /* of members that may be a slot's last owner */
#define TURNS_MIN     9u
#define TURNS_MAX     24u    /* repairing is cheaper, then */


/* The horizon of the other owners: the rarer members are that may be the last
 * one of a slot, the farther. */
void
s3c_ring_follow_begin(s3c_ring_builder_t *b)
{
    uint32_t  turns;

    turns = TURNS_WANTED * b->ring->weight
            / (b->ring->weight - b->heavy_weight);
    turns = turns < TURNS_MIN ? TURNS_MIN
            : turns > TURNS_MAX ? TURNS_MAX : turns;
    b->horizon = s3c_ring_horizon(b, turns);

    for (uint32_t i = 0; i < b->ring->n_members; i++) {
        b->seats[i].turn = 0;
        b->seats[i].next_key = b->seats[i].cap > 0 ? 0 : S3C_RING_KEY_NONE;
    }
}


/* Of all keys that a slot is shown, in any order and each once, the second and
 * the third owner's stay. */
static inline void
follow_slot(s3c_ring_builder_t *b, const s3c_ring_seat_t *m, uint32_t slot,
    uint64_t key)
{
    uint16_t  first;
    uint64_t  second;

    /* Of two zones, the third may have a lower key than the second. */
    if (key > b->third[slot] && (b->n_zones > 2 || key > b->second[slot])) {
        return;
    }

    first = b->ring->owners[slot][0];

    if (m->zone != b->seats[first].zone) {
        second = b->second[slot];

        if (key < second) {
            b->second[slot] = key;
        }

        if (b->n_zones > 2 && second != S3C_RING_KEY_NONE
            && m->zone == b->seats[second & S3C_RING_MEMBER_MASK].zone)
        {
            return;
        }

        key = key < second ? second : key;

    } else if (b->n_zones > 2 || m->rank.member == first) {
        return;
    }

    if (key < b->third[slot]) {
        b->third[slot] = key;
    }
}


static uint32_t
follow_member(s3c_ring_builder_t *b, s3c_ring_seat_t *m, uint32_t budget)
{
    uint32_t          n, used = 0;
    s3c_ring_batch_t  batch;

    while (used < budget) {
        n = s3c_ring_rest(m->turn, S3C_RING_SLOTS, S3C_RING_BATCH);
        s3c_ring_rank_turns(&m->rank, b->log, m->turn, n, batch.slots,
                            batch.keys);
        used += n;

        for (uint32_t i = 0; i < n; i++) {
            if (batch.keys[i] > b->horizon) {
                m->next_key = S3C_RING_KEY_NONE;
                return used;
            }

            follow_slot(b, m, batch.slots[i], batch.keys[i]);
        }

        m->turn += n;

        if (m->turn == S3C_RING_SLOTS) {
            m->next_key = S3C_RING_KEY_NONE;
            break;
        }
    }

    return used;
}


uint32_t
s3c_ring_follow_run(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t          used = 0;
    s3c_ring_seat_t  *m;

    if (b->ring->n_owners < 2) {
        b->finished = true;
        return 0;
    }

    while (used < budget && b->cursor < b->ring->n_members) {
        m = &b->seats[b->cursor];

        if (m->next_key != S3C_RING_KEY_NONE) {
            used += follow_member(b, m, budget - used);
        }

        used++;
        b->cursor += m->next_key == S3C_RING_KEY_NONE;
    }

    b->finished = b->cursor == b->ring->n_members;

    return used;
}


/* All members at one slot. */
static void
repair(s3c_ring_builder_t *b, uint32_t slot)
{
    uint32_t                turn, taken = UINT32_MAX;
    const s3c_ring_seat_t  *m;

    /* Of three zones or more, the first owner's is out: not to compute its
     * keys is most of the work where this zone is large. */
    if (b->n_zones > 2) {
        taken = b->seats[b->ring->owners[slot][0]].zone;
    }

    b->second[slot] = S3C_RING_KEY_NONE;
    b->third[slot] = S3C_RING_KEY_NONE;

    for (uint32_t i = 0; i < b->ring->n_members; i++) {
        m = &b->seats[i];

        if (m->cap > 0 && m->zone != taken) {
            turn = s3c_ring_rank_turn(&m->rank, slot);
            follow_slot(b, m, slot, s3c_ring_rank_key(&m->rank, b->log, turn));
        }
    }
}


uint32_t
s3c_ring_settle_run(s3c_ring_builder_t *b, uint32_t budget)
{
    uint32_t   used = 0, n_owners = b->ring->n_owners;
    uint16_t  *owners;

    while (used < budget && b->cursor < S3C_RING_SLOTS) {
        if ((n_owners > 1 && b->second[b->cursor] == S3C_RING_KEY_NONE)
            || (n_owners > 2 && b->third[b->cursor] == S3C_RING_KEY_NONE))
        {
            repair(b, b->cursor);
            used += b->ring->n_members;
        }

        owners = b->ring->owners[b->cursor];
        owners[1] = s3c_ring_owner(b->second[b->cursor]);
        owners[2] = s3c_ring_owner(b->third[b->cursor]);

        for (uint32_t i = 0; i < n_owners; i++) {
            b->members[owners[i]].slots[i]++;
        }

        b->cursor++;
        used++;
    }

    if (b->cursor == S3C_RING_SLOTS) {
        b->ring->magic = S3C_RING_MAGIC;
        b->finished = true;
    }

    return used;
}
