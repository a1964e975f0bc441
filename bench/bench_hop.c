/*
 * bench_hop.c - how long a message takes from one rank to the next.
 *
 *   mpirun -np 2 bench_hop           two ranks of one node
 *   mpirun -np 2 bench_hop_apart     as if each rank had a node of its own
 *
 * One row of a batch (a header, one entry of the table, 2048 floats) and
 * longer messages, one way.  "spin": half of a round trip, both ranks look
 * without a pause.  "asleep": the sender rests 1 to 3 ms before, at random, and
 * the receiver has gone to sleep; the time is the receiver's clock at the end
 * minus the sender's at the begin, which are one clock.  "rhythm": the same,
 * but the sender always rests 2 ms, as stages of a steady pipeline do.  Three
 * ways, one message of each in turn, so that noise meets all alike: `comm` is
 * ndl_comm, `mpi` MPI_Send and MPI_Recv, which never sleep, and `memory` two
 * copies through a shared page, with nothing else around them.
 */
#include <mpi.h>
#include <stdatomic.h>

#include "bench_util.h"
#include "noodle/clock.h"
#include "noodle/comm.h"
#include "noodle/wire.h"

enum {
    ROW_BYTES = sizeof(ndl_wire_batch) + sizeof(ndl_wire_seq) + (8 << 10),
    LONGEST = 4 << 20,
    N_WARM = 20,
    N_MOST = 4000
};

typedef enum pace { SPIN, ASLEEP, RHYTHM, N_PACES } pace;
static const char *const pace_names[N_PACES] = { "spin", "asleep", "rhythm" };

static void rest(pace p)
{
    static uint32_t chance = 1;
    chance = chance * 1664525u + 1013904223u;
    if (p == ASLEEP) ndl_clock_sleep(1e-3 + 2e-3 * (chance >> 8) * 0x1p-24);
    if (p == RHYTHM) ndl_clock_sleep(2e-3);
}

/* One direction of the bare shared memory. */
typedef struct mail {
    _Atomic uint64_t n_sent;
    uint8_t pad[120];
    unsigned char bytes[LONGEST];
} mail;

typedef struct hop {
    ndl_comm *comm;
    int peer;
    mail *out, *in; /* NULL between nodes */
    uint64_t n_mails;
    unsigned char *mine, *theirs; /* (LONGEST) */
    size_t len;
} hop;

typedef enum way { COMM, MPI, MEMORY, N_WAYS } way;
static const char *const way_names[N_WAYS] = { "comm", "mpi", "memory" };

static void must(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "bench_hop: %s: %s\n", what, ndl_status_message());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void finish(hop *h, ndl_comm_op *op)
{
    bool done = false;
    for (;;) {
        must(ndl_comm_test(h->comm, op, &done, NULL) == NDL_OK, "test");
        if (done) return;
        ndl_comm_wait(h->comm, 1.0);
    }
}

static void send_by(hop *h, way w)
{
    ndl_comm_op op = { 0 };
    switch (w) {
    case COMM:
        must(ndl_comm_send_begin(h->comm, &op, h->peer, NDL_TAG_BATCH, h->mine,
                                 h->len) == NDL_OK,
             "send");
        finish(h, &op);
        break;
    case MPI:
        MPI_Send(h->mine, (int)h->len, MPI_BYTE, h->peer, 1, MPI_COMM_WORLD);
        break;
    default:
        memcpy(h->out->bytes, h->mine, h->len);
        atomic_store_explicit(&h->out->n_sent, h->n_mails + 1,
                              memory_order_release);
    }
}

static void receive_by(hop *h, way w)
{
    ndl_comm_op op = { 0 };
    switch (w) {
    case COMM:
        must(ndl_comm_recv_begin(h->comm, &op, h->peer, NDL_TAG_BATCH,
                                 h->theirs, LONGEST) == NDL_OK,
             "receive");
        finish(h, &op);
        break;
    case MPI:
        MPI_Recv(h->theirs, LONGEST, MPI_BYTE, h->peer, 1, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        break;
    default:
        while (atomic_load_explicit(&h->in->n_sent, memory_order_acquire) <=
               h->n_mails)
            continue;
        memcpy(h->theirs, h->in->bytes, h->len);
    }
}

/* There and back.  @return half of it, or what the way there took. */
static double round_trip(hop *h, way w, pace p)
{
    double start, there = 0.0;
    if (h->comm->rank == 0) {
        rest(p);
        start = ndl_clock_sec();
        memcpy(h->mine, &start, sizeof start);
        send_by(h, w);
        receive_by(h, w);
        memcpy(&there, h->theirs, sizeof there);
        h->n_mails++;
        return p != SPIN ? there : (ndl_clock_sec() - start) / 2.0;
    }
    receive_by(h, w);
    memcpy(&start, h->theirs, sizeof start);
    there = ndl_clock_sec() - start;
    memcpy(h->mine, &there, sizeof there);
    send_by(h, w);
    h->n_mails++;
    return there;
}

static void measure(hop *h, size_t len, pace p)
{
    static double sec[N_WAYS][N_MOST];
    const int n_ways = h->out ? N_WAYS : MEMORY;
    const int n = p != SPIN ? 200 : len > 100000 ? 400 : N_MOST;
    h->len = len;
    for (int i = -N_WARM; i < n; i++)
        for (int w = 0; w < n_ways; w++)
            sec[w][i < 0 ? 0 : i] = round_trip(h, (way)w, p);
    if (h->comm->rank != 0) return;
    for (int w = 0; w < n_ways; w++)
        qsort(sec[w], (size_t)n, sizeof **sec, bench_compare);
    for (int w = 0; w < n_ways; w++)
        printf("%s,%zu,%s,%d,%.2f,%.2f,%.2f,%+.2f,%.3f\n", pace_names[p], len,
               way_names[w], n, 1e6 * sec[w][0], 1e6 * sec[w][n / 2],
               1e6 * sec[w][n * 95 / 100],
               1e6 * (sec[w][n / 2] - sec[MPI][n / 2]),
               sec[w][n / 2] / sec[MPI][n / 2]);
    fflush(stdout);
}

/* Two mails in a window that ranks of a node share. */
static MPI_Win open_mails(hop *h)
{
    MPI_Comm local;
    MPI_Win window = MPI_WIN_NULL;
    unsigned char *base = NULL;
    int n = 0, unit = 0;
    MPI_Aint size = 0;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                        &local);
    MPI_Comm_size(local, &n);
    if (n == 2) {
        MPI_Win_allocate_shared(h->comm->rank == 0 ? 2 * (MPI_Aint)sizeof(mail)
                                                   : 0,
                                1, MPI_INFO_NULL, local, &base, &window);
        MPI_Win_shared_query(window, 0, &size, &unit, &base);
        mail *mails = (mail *)(void *)base;
        h->out = &mails[h->comm->rank];
        h->in = &mails[h->peer];
        atomic_store(&h->out->n_sent, 0);
        MPI_Barrier(local);
    }
    MPI_Comm_free(&local);
    return window;
}

static void print_provenance(const hop *h)
{
    const char *copy = getenv("OMPI_MCA_btl_vader_single_copy_mechanism");
    const char *btl = getenv("OMPI_MCA_btl");
    printf("# bench: hop%s\n# commit: " NDL_COMMIT "\n",
           h->out ? "" : " between nodes");
    printf("# mpi: %s\n# single copy: %s\n# btl: %s\n", ndl_comm_library(),
           copy ? copy : "default", btl ? btl : "default");
    bench_cpuinfo("model name");
    printf("pace,bytes,way,n,min_us,median_us,p95_us,over_mpi_us,of_mpi\n");
}

int main(int argc, char **argv)
{
    static const size_t lengths[] = { 64,        ROW_BYTES, 16 << 10, 64 << 10,
                                      128 << 10, 256 << 10, 1 << 20,  LONGEST };
    hop h = { 0 };
    int level = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    must(ndl_comm_open_mpi(&h.comm) == NDL_OK && h.comm->size == 2,
         "needs two ranks");
    h.peer = 1 - h.comm->rank;
    h.mine = calloc(1, LONGEST);
    h.theirs = calloc(1, LONGEST);
    must(h.mine && h.theirs, "out of memory");
    MPI_Win window = open_mails(&h);
    if (h.comm->rank == 0) print_provenance(&h);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        /* A rank alone on its core may look for as long as it likes. */
        ndl_comm_set_spin(h.comm, 0.1);
        measure(&h, lengths[i], SPIN);
        ndl_comm_set_spin(h.comm, 50e-6);
        measure(&h, lengths[i], ASLEEP);
        measure(&h, lengths[i], RHYTHM);
    }
    if (window != MPI_WIN_NULL) MPI_Win_free(&window);
    ndl_comm_close(&h.comm);
    free(h.mine);
    free(h.theirs);
    MPI_Finalize();
    return 0;
}
