/*
 * probe_links.c - who measures the link to whom, and when.
 *
 * All ranks are in as many pairs at a time as there can be, each in one: a
 * tournament in which everybody meets everybody.  With many ranks, the first of
 * each node plays for all of its node, and one pair of one node for all that
 * is inside of nodes.
 */
#include "probe_links.h"

#include <stdbool.h>
#include <stdlib.h>

#include "link_echo.h"
#include "noodle/probe.h"

enum { MOST_RANKS = 64 };

/* Who plays. */
typedef struct field {
    ndl_comm *comm;
    int32_t *nodes;  /* (size) of each rank                                */
    int *players;    /* (n) ranks                                          */
    int *player_of;  /* (size) index of the player who plays for this rank */
    int n, me;       /* me: my own index; -1: somebody plays for me        */
    int inside[2];   /* ranks of one node who play for the inside of nodes */
    bool is_by_node; /* players stand for others                           */
} field;

int ndl_probe_links_partner(int n, int round, int me)
{
    /* The circle: partners' indices add up to the round, modulo an odd number;
     * whoever would meet himself meets the last of an even number. */
    const int odd = n % 2 ? n : n - 1;
    if (me == odd) { /* the last: half of the round, modulo odd */
        const int twice = round % 2 ? round + odd : round;
        return twice / 2;
    }
    const int partner = (round - me + odd) % odd;
    if (partner != me) return partner;
    return n % 2 ? -1 : odd;
}

static int first_of_node(const field *f, int rank)
{
    int first = 0;
    while (f->nodes[first] != f->nodes[rank]) first++;
    return first;
}

static void choose_players(field *f, int most)
{
    const int size = f->comm->size;
    f->is_by_node = size > most;
    f->n = 0;
    f->me = f->inside[0] = f->inside[1] = -1;
    for (int r = 0; r < size; r++) {
        const int first = first_of_node(f, r);
        if (f->is_by_node && first != r) {
            f->player_of[r] = f->player_of[first];
            if (f->inside[0] >= 0) continue;
            f->inside[0] = first;
            f->inside[1] = r;
            continue;
        }
        if (r == f->comm->rank) f->me = f->n;
        f->player_of[r] = f->n;
        f->players[f->n++] = r;
    }
}

static ndl_status field_init(field *f, ndl_comm *comm, int most)
{
    const size_t n = (size_t)comm->size;
    const int32_t node = comm->node;
    *f = (field){ .comm = comm };
    f->nodes = calloc(n, sizeof *f->nodes);
    f->players = calloc(n, sizeof *f->players);
    f->player_of = calloc(n, sizeof *f->player_of);
    const bool ok = f->nodes && f->players && f->player_of;
    NDL_TRY(ndl_comm_agree(
        comm, ok ? NDL_OK : NDL_FAIL(NDL_EOS, "links: out of memory")));
    NDL_TRY(ndl_comm_gather(comm, &node, sizeof node, f->nodes));
    NDL_TRY(ndl_comm_bcast(comm, f->nodes, n * sizeof *f->nodes));
    choose_players(f, most);
    return NDL_OK;
}

static void field_fini(field *f)
{
    free(f->nodes);
    free(f->players);
    free(f->player_of);
}

/* My links to all players; then, of those who play it, the inside of nodes. */
static ndl_status play(const field *f, ndl_link_echo *echo, ndl_link *to)
{
    const int n_rounds = f->n % 2 ? f->n : f->n - 1;
    for (int round = 0; f->me >= 0 && round < n_rounds; round++) {
        const int other = ndl_probe_links_partner(f->n, round, f->me);
        if (other < 0) continue;
        NDL_TRY(ndl_link_echo_run(echo, f->players[other], &to[other]));
    }
    for (int i = 0; i < 2; i++)
        if (f->inside[i] == f->comm->rank)
            NDL_TRY(ndl_link_echo_run(echo, f->inside[1 - i], &to[f->n]));
    return NDL_OK;
}

/* From each rank's links to the players (n + 1 of them, the last for inside)
 * to what holds between any two nodes: (n, n), and the inside. */
static void condense(const field *f, const ndl_link *all, ndl_link *table)
{
    const size_t n = (size_t)f->n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            table[i * n + j] = all[(size_t)f->players[i] * (n + 1) + j];
    if (f->inside[0] >= 0)
        table[n * n] = all[(size_t)f->inside[0] * (n + 1) + n];
}

/* Everybody learns what the players found. */
static ndl_status share(const field *f, const ndl_link *to, ndl_link *row)
{
    ndl_comm *c = f->comm;
    const size_t n = (size_t)f->n, size = (size_t)c->size;
    ndl_link *table = calloc(n * n + 1, sizeof *table), *all = NULL;
    if (c->rank == 0) all = calloc(size * (n + 1), sizeof *all);
    ndl_status st = table && (all || c->rank != 0)
                        ? NDL_OK
                        : NDL_FAIL(NDL_EOS, "links: out of memory");
    NDL_TRY_GOTO(done, st, ndl_comm_agree(c, st));
    NDL_TRY_GOTO(done, st, ndl_comm_gather(c, to, (n + 1) * sizeof *to, all));
    if (c->rank == 0) condense(f, all, table);
    NDL_TRY_GOTO(done, st,
                 ndl_comm_bcast(c, table, (n * n + 1) * sizeof *table));
    const size_t mine = (size_t)f->player_of[c->rank];
    for (size_t r = 0; r < size; r++) {
        const bool inside = f->nodes[r] == f->nodes[c->rank];
        row[r] = table[inside ? n * n : mine * n + (size_t)f->player_of[r]];
    }
done:
    free(table);
    free(all);
    return st;
}

static ndl_status measure(const field *f, ndl_link *row)
{
    ndl_comm *c = f->comm;
    ndl_link_echo echo = { .comm = NULL };
    ndl_link *to = calloc((size_t)f->n + 1, sizeof *to);
    ndl_status st = to ? ndl_link_echo_init(&echo, c)
                       : NDL_FAIL(NDL_EOS, "links: out of memory");
    NDL_TRY_GOTO(done, st, ndl_comm_agree(c, st));
    NDL_TRY_GOTO(done, st, ndl_comm_agree(c, play(f, &echo, to)));
    if (f->is_by_node)
        NDL_TRY_GOTO(done, st, share(f, to, row));
    else
        for (int r = 0; r < f->n; r++) row[r] = to[r];
    for (int r = 0; r < c->size; r++)
        row[r].same_node = f->nodes[r] == f->nodes[c->rank];
    row[c->rank] = (ndl_link){ .same_node = 1 };
done:
    ndl_link_echo_fini(&echo);
    free(to);
    return st;
}

ndl_status ndl_probe_links_upto(ndl_comm *comm, ndl_link *row, int most)
{
    field f;
    ndl_status st = field_init(&f, comm, most);
    if (st == NDL_OK) st = measure(&f, row);
    field_fini(&f);
    return st;
}

ndl_status ndl_probe_links(ndl_comm *comm, ndl_link *row)
{
    return ndl_probe_links_upto(comm, row, MOST_RANKS);
}
