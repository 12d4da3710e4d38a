/* SPDX-License-Identifier: Apache-2.0
 *
 * Circular queues through the entries, each closed by a sentinel of its own. A
 * link is the index of an entry, or S3C_RAM_LIST plus the number of a list. An
 * entry leaves its queue without knowing which one it is. Writers only.
 */
#include "ram/ram_internal.h"

typedef struct {
    uint32_t  *prev;
    uint32_t  *next;
} links_t;


static bool
links_of(s3c_ram_t *ram, uint32_t ref, links_t *l)
{
    uint32_t             list;
    s3c_ram_entry_sh_t  *e;

    if (ref & S3C_RAM_LIST) {
        list = ref & ~S3C_RAM_LIST;

        if (list >= ram->c.n_lists) {
            s3c_ram_break(ram);
            return false;
        }

        l->prev = &ram->at.lists[list].prev;
        l->next = &ram->at.lists[list].next;
        return true;
    }

    e = s3c_ram_entry_get(ram, ref);
    if (e == NULL) {
        return false;
    }

    l->prev = &e->prev;
    l->next = &e->next;

    return true;
}


void
s3c_ram_list_reset_locked(s3c_ram_t *ram, uint32_t list)
{
    ram->at.lists[list].prev = S3C_RAM_LIST | list;
    ram->at.lists[list].next = S3C_RAM_LIST | list;
}


void
s3c_ram_list_push_tail_locked(s3c_ram_t *ram, uint32_t list, uint32_t entry)
{
    links_t   me, end, last;
    uint32_t  tail;

    if (!links_of(ram, S3C_RAM_LIST | list, &end)
        || !links_of(ram, *end.prev, &last)
        || !links_of(ram, entry, &me))
    {
        return;
    }

    tail = *end.prev;
    *me.prev = tail;
    *me.next = S3C_RAM_LIST | list;
    *last.next = entry;
    *end.prev = entry;
}


void
s3c_ram_list_remove_locked(s3c_ram_t *ram, uint32_t entry)
{
    links_t  me, prev, next;

    if (!links_of(ram, entry, &me)
        || !links_of(ram, *me.prev, &prev)
        || !links_of(ram, *me.next, &next))
    {
        return;
    }

    if (*prev.next != entry || *next.prev != entry) {
        s3c_ram_break(ram);
        return;
    }

    *prev.next = *me.next;
    *next.prev = *me.prev;
}


uint32_t
s3c_ram_list_first_locked(s3c_ram_t *ram, uint32_t list)
{
    links_t  end, first;

    if (!links_of(ram, S3C_RAM_LIST | list, &end)
        || *end.next == (S3C_RAM_LIST | list)
        || !links_of(ram, *end.next, &first))
    {
        return 0;
    }

    if ((*end.next & S3C_RAM_LIST) || *first.prev != (S3C_RAM_LIST | list)) {
        s3c_ram_break(ram);
        return 0;
    }

    return *end.next;
}


void
s3c_ram_list_append_locked(s3c_ram_t *ram, uint32_t to, uint32_t from)
{
    links_t   t, f, t_last, f_first, f_last;
    uint32_t  tail;

    if (!links_of(ram, S3C_RAM_LIST | to, &t)
        || !links_of(ram, S3C_RAM_LIST | from, &f)
        || *f.next == (S3C_RAM_LIST | from)
        || !links_of(ram, *t.prev, &t_last)
        || !links_of(ram, *f.next, &f_first)
        || !links_of(ram, *f.prev, &f_last))
    {
        return;
    }

    tail = *t.prev;
    *f_first.prev = tail;
    *t_last.next = *f.next;
    *f_last.next = S3C_RAM_LIST | to;
    *t.prev = *f.prev;

    s3c_ram_list_reset_locked(ram, from);
}
