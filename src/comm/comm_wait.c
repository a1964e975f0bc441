/*
 * comm_wait.c - waiting for messages without using the processor.
 *
 * A wait lasts from the first call that finds nothing to do until an operation
 * completes or the bell rings; that may take many calls.  It goes through two
 * phases:
 *
 *   spin    up to spin_sec, if at least half of the late spins paid off; and
 *           now and then to find out
 *   sleep   on the bell, which ranks of this node ring after each send; but
 *           awake around the end that the waits before make likely (rhythm.h)
 *
 * The bell does not say everything.  Ranks of other nodes cannot ring it; it
 * may be faster than the message; and a long message may need both processes
 * for each of its pieces (a rendezvous without direct copy).  Then a sleep is
 * an eighth of the time already waited,
 * so that a wait is at most that much longer than it need be.  The caller
 * tests its operations between two calls, and that is what makes MPI progress:
 * no MPI call is made in here, because a message that came by it would not be
 * noticed before the next sleep.
 */
#include "comm_mpi.h"
#include "noodle/clock.h"

static const double shortest_sleep_sec = 50e-6;
/* While messages may come from other nodes, and after a second without any. */
static const double longest_remote_sec = 1e-3, idle_remote_sec = 5e-3;
/* On one node, a net for messages that MPI could not hand over at once, for
 * want of resources, and that come without a ring.  Each waking costs 30 to
 * 40 us on a busy node: with 50 ms instead of 10 rank 0 uses 0.27 % of a core
 * instead of 0.52 % (gpt2-124m f32, np 2, 16 prompts, steps of 32-38 ms,
 * medians of three interleaved runs, Zen 4 EPYC). */
static const double longest_local_sec = 50e-3;
/* Between the pieces of a message; after so long without its end the sender is
 * no longer thought to be at it. */
static const double piece_sleep_sec = 10e-6, in_pieces_sec = 0.1;

/* A spin that fails costs spin_sec, so trials cost little beside the sleeps
 * that made them necessary. */
enum { waits_a_trial = 16 };

void ndl_comm_set_spin(ndl_comm *c, double spin_sec)
{
    ndl_comm_mpi_under(c)->spin_sec = spin_sec > 0.0 ? spin_sec : 0.0;
}

void ndl_comm_mpi_moved(ndl_comm_mpi *m)
{
    if (m->since_sec == 0.0) return;
    const double sec = ndl_clock_sec() - m->since_sec;
    if (m->is_spun)
        m->payoff = 0.75 * m->payoff + (sec <= m->spin_sec ? 0.25 : 0.0);
    ndl_rhythm_end(&m->rhythm, sec);
    m->since_sec = 0.0;
}

static void begin_wait(ndl_comm_mpi *m, double now)
{
    m->since_sec = now;
    m->n_waits++;
    m->is_spun = m->spin_sec > 0.0 &&
                 (m->payoff >= 0.5 || m->n_waits % waits_a_trial == 0);
    ndl_rhythm_begin(&m->rhythm);
}

static bool must_poll(const ndl_comm_mpi *m)
{
    return m->is_remote || m->is_expecting || m->n_sends > 0 ||
           m->n_receiving > 0 || m->n_noted > 0;
}

static double longest_sleep_sec(const ndl_comm_mpi *m, double waited_sec)
{
    if (!m->is_remote) return longest_local_sec;
    /* Waking costs 10 to 20 us, so 1 ms is 1 or 2 % of a core: too much for a
     * rank that does nothing for minutes, and then nobody notices 5 ms. */
    const double sec = waited_sec / 1000.0;
    if (sec < longest_remote_sec) return longest_remote_sec;
    return sec < idle_remote_sec ? sec : idle_remote_sec;
}

static double sleep_sec(const ndl_comm_mpi *m, double now, double max_sec)
{
    const double waited_sec = now - m->since_sec;
    double sec = longest_sleep_sec(m, waited_sec);
    if (must_poll(m) && waited_sec / 8.0 < sec) sec = waited_sec / 8.0;
    if (sec < shortest_sleep_sec) sec = shortest_sleep_sec;
    if (m->n_receiving > 0 && waited_sec < in_pieces_sec) sec = piece_sleep_sec;
    /* To be awake in time. */
    const double left_sec = m->rhythm.from_sec - waited_sec;
    if (m->spin_sec > 0.0 && left_sec > 0.0 && left_sec < sec) sec = left_sec;
    return sec < max_sec ? sec : max_sec;
}

static void spin(ndl_comm_mpi *m, double end_sec)
{
    /* What does not ring must be polled, and polling is the caller's: to
     * return at once is to spin. */
    if (!must_poll(m)) ndl_bell_spin(m->mine, m->heard, end_sec);
}

/* Until when to spin, if at all: at the begin of a wait, and around the end
 * that is expected. */
static double spin_end_sec(const ndl_comm_mpi *m, double now)
{
    const ndl_rhythm *r = &m->rhythm;
    const double waited_sec = now - m->since_sec;
    if (m->is_spun && waited_sec < m->spin_sec)
        return m->since_sec + m->spin_sec;
    if (m->spin_sec > 0.0 && waited_sec >= r->from_sec &&
        waited_sec < r->to_sec)
        return m->since_sec + r->to_sec;
    return 0.0;
}

static void spin_or_sleep(ndl_comm_mpi *m, double max_sec)
{
    const double now = ndl_clock_sec();
    if (m->since_sec == 0.0) begin_wait(m, now);
    const double end_sec = spin_end_sec(m, now);
    if (now < end_sec)
        spin(m, end_sec < now + max_sec ? end_sec : now + max_sec);
    else
        ndl_bell_sleep(m->mine, m->heard, sleep_sec(m, now, max_sec));
}

void ndl_comm_mpi_wait(ndl_comm *c, double max_sec)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    if (ndl_bell_count(m->mine) == m->heard && max_sec > 0.0)
        spin_or_sleep(m, max_sec);
    const uint32_t count = ndl_bell_count(m->mine);
    if (count == m->heard) return;
    m->heard = count;
    m->is_expecting = true;
    ndl_comm_mpi_moved(m);
}
