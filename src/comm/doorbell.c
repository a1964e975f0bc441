/*
 * doorbell.c - see doorbell.h.
 *
 * No wake-up is lost: whoever rings moves the count and then looks at the
 * flag; the owner raises the flag and then looks at the count.  All four are
 * sequentially consistent, so at least one side sees the other; and the kernel
 * compares the count once more before it puts the owner to sleep.  The flag is
 * lowered by the owner alone: if a late ringer lowered it, it could take away
 * the flag of the owner's next sleep.
 */
#include "doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "noodle/clock.h"

/* Not the PRIVATE futexes: the word is shared between processes. */
static void futex(_Atomic uint32_t *word, int what, uint32_t value,
                  const struct timespec *limit)
{
    /* Every outcome, also EINTR and EAGAIN, means "look again". */
    (void)syscall(SYS_futex, word, what, value, limit, NULL, 0);
}

void ndl_bell_init(ndl_bell *b)
{
    atomic_init(&b->n_rings, 0);
    atomic_init(&b->is_waited, 0);
}

void ndl_bell_ring(ndl_bell *b)
{
    atomic_fetch_add(&b->n_rings, 1);
    if (atomic_load(&b->is_waited)) futex(&b->n_rings, FUTEX_WAKE, 1, NULL);
}

uint32_t ndl_bell_count(const ndl_bell *b)
{
    return atomic_load(&b->n_rings);
}

void ndl_bell_spin(const ndl_bell *b, uint32_t heard, double end_sec)
{
    /* Reading the clock (some 25 ns) is pause enough between two looks. */
    while (ndl_bell_count(b) == heard && ndl_clock_sec() < end_sec) continue;
}

void ndl_bell_sleep(ndl_bell *b, uint32_t heard, double max_sec)
{
    const double longest_sec = 3600.0; /* keeps the conversion defined */
    const double sec = max_sec < longest_sec ? max_sec : longest_sec;
    if (!(sec > 0.0)) return;
    struct timespec limit = { .tv_sec = (time_t)sec };
    limit.tv_nsec = (long)((sec - (double)limit.tv_sec) * 1e9);

    atomic_store(&b->is_waited, 1);
    if (atomic_load(&b->n_rings) == heard)
        futex(&b->n_rings, FUTEX_WAIT, heard, &limit);
    atomic_store(&b->is_waited, 0);
}
