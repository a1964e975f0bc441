/*
 * comm_belts.c - the memory of the belts between the ranks of a node.
 *
 * One memory file for all of a node, which its lowest rank makes and the
 * others find under /proc.  Not a window of MPI: those need as much room in
 * /dev/shm as all belts could ever use, and a container has 64 MiB there.
 * A memory file has pages only where a belt was used, from the memory of whom
 * used it, and is gone with its last process.
 *
 * A belt for each ordered pair and each tag that carries rows or measures what
 * they cost; reports and orders are rare and small.
 */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm_mpi.h"
#include "noodle/log.h"

/* Probes are sent between all pairs: long ones on belts would take megabytes
 * for each of them, for good. */
static const struct {
    ndl_tag tag;
    size_t longest;
} kinds[] = { { NDL_TAG_BATCH, NDL_BELT_LETTER },
              { NDL_TAG_TOKENS, NDL_BELT_LETTER },
              { NDL_TAG_PROBE, 4 << 10 } };

enum {
    N_KINDS = sizeof kinds / sizeof *kinds,
    PAGE = 4096,
    STRIDE = (sizeof(ndl_belt) + PAGE - 1) / PAGE * PAGE
};

/* Where the others find the file, and how they know it.  A process of this
 * number may be another one in their container. */
typedef struct address {
    int64_t pid, fd, device, inode;
} address;

static int make_file(size_t bytes, address *at)
{
    struct stat s;
    const int fd = memfd_create("noodle-mpi", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    /* Who maps it need not fear that it shrinks. */
    if (ftruncate(fd, (off_t)bytes) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
        fstat(fd, &s) != 0) {
        close(fd);
        return -1;
    }
    *at = (address){ getpid(), fd, (int64_t)s.st_dev, (int64_t)s.st_ino };
    return fd;
}

static bool is_file(int fd, size_t bytes, const address *at)
{
    struct stat s;
    return fstat(fd, &s) == 0 && (int64_t)s.st_dev == at->device &&
           (int64_t)s.st_ino == at->inode && s.st_size == (off_t)bytes;
}

static int find_file(size_t bytes, const address *at)
{
    char path[64];
    if (at->pid == 0) return -1;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)at->pid,
             (long long)at->fd);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || is_file(fd, bytes, at)) return fd;
    close(fd);
    return -1;
}

static void *map_file(int fd, size_t bytes)
{
    if (fd < 0) return NULL;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE, fd, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Collective over m->local: mapped by all, or by none. */
static ndl_status map_belts(ndl_comm_mpi *m, size_t bytes, int local_rank)
{
    address at = { 0 };
    int fd = local_rank == 0 ? make_file(bytes, &at) : -1;
    int rc = MPI_Bcast(&at, sizeof at, MPI_BYTE, 0, m->local);
    if (rc == MPI_SUCCESS && local_rank != 0) fd = find_file(bytes, &at);
    m->belts = map_file(fd, bytes);
    m->belts_bytes = bytes;
    int have = m->belts != NULL, all_have = 0;
    if (rc == MPI_SUCCESS)
        rc = MPI_Allreduce(&have, &all_have, 1, MPI_INT, MPI_MIN, m->local);
    if (fd >= 0) close(fd);
    if (have && !all_have) {
        munmap(m->belts, bytes);
        m->belts = NULL;
    }
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Allreduce", rc);
    return NDL_OK;
}

static ndl_belt *belt_at(const ndl_comm_mpi *m, size_t from, size_t to,
                         size_t n_local, size_t kind)
{
    unsigned char *base = m->belts;
    const size_t i = (from * n_local + to) * N_KINDS + kind;
    return (ndl_belt *)(void *)(base + i * STRIDE);
}

ndl_status ndl_comm_mpi_open_belts(ndl_comm_mpi *m, const int *node_of)
{
    int n_local = 0, local_rank = 0;
    size_t peer = 0;
    MPI_Comm_size(m->local, &n_local);
    MPI_Comm_rank(m->local, &local_rank);
    const size_t n = (size_t)n_local, me = (size_t)local_rank;
    NDL_TRY(map_belts(m, n * n * N_KINDS * STRIDE, local_rank));
    if (!m->belts) {
        ndl_log(NDL_LOG_DEBUG, "comm",
                "the ranks of this node share no memory file: all messages go "
                "by MPI");
        return NDL_OK;
    }
    for (int r = 0; r < m->base.size; r++) {
        if (node_of[r] != m->base.node) continue;
        for (size_t k = 0; k < N_KINDS; k++) {
            ndl_comm_lane *lane = &m->lane[r][kinds[k].tag - NDL_TAG_FIRST];
            lane->in.belt = belt_at(m, peer, me, n, k);
            lane->out.belt = belt_at(m, me, peer, n, k);
            lane->out.longest = kinds[k].longest;
        }
        peer++;
    }
    return NDL_OK;
}
