/*
 * link_echo.c - see link_echo.h.
 *
 * The side that asks decides what comes next, so that slow links get shorter
 * messages; the other returns whatever comes until it is told the result.  A
 * message of n bytes takes latency + n / bandwidth: the latency is half the
 * round trip of 8 bytes, the bandwidth follows from the difference of two long
 * messages, in which the latency cancels out.
 */
#include "link_echo.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/doubles.h"

static const double answer_sec = 30.0; /* without an answer: the link is dead */
static const double spin_sec = 50e-6;  /* before sleeping, as a stage does    */
static const double wait_sec = 0.1;
static const double slow_sec = 5e-3; /* a megabyte there and back: 0.4 GB/s */

enum {
    SHORT_BYTES = 8,
    LONG_BYTES = 4 << 20, /* and a quarter of it; on slow links a sixteenth */
    SLOW_BYTES = LONG_BYTES / 16,
    TESTS_A_YIELD = 8,
    N_WARM = 8,
    N_SHORT = 51,
    N_LONG = 3
};

/* First word of a message. */
static const uint64_t word_echo = 0x4f4843454c444e00u;
static const uint64_t word_result = 0x544c5553454c444eu;

typedef struct result {
    uint64_t word;
    double latency_sec, bytes_per_sec;
} result;

ndl_status ndl_link_echo_init(ndl_link_echo *e, ndl_comm *comm)
{
    *e = (ndl_link_echo){ .comm = comm };
    e->out = malloc(LONG_BYTES);
    e->in = malloc(LONG_BYTES);
    if (!e->out || !e->in) {
        ndl_link_echo_fini(e);
        return NDL_FAIL(NDL_EOS, "links: out of memory for 8 MiB");
    }
    /* The pages exist before the time is taken. */
    memset(e->out, 1, LONG_BYTES);
    memset(e->in, 1, LONG_BYTES);
    return NDL_OK;
}

/* A send that nobody took may be read later: its buffer stays for good. */
void ndl_link_echo_fini(ndl_link_echo *e)
{
    if (e->comm) {
        const bool is_kept = ndl_comm_cancel(e->comm, &e->send);
        (void)ndl_comm_cancel(e->comm, &e->recv);
        if (is_kept) e->out = NULL;
    }
    free(e->out);
    free(e->in);
    e->out = e->in = NULL;
}

static ndl_status no_answer(const ndl_link_echo *e, int peer)
{
    return NDL_FAIL(NDL_ETEMP,
                    "link between ranks %d and %d: no answer in %.0f s: check "
                    "the network between their nodes",
                    e->comm->rank, peer, answer_sec);
}

/* Test until it is complete: at first without a pause, then asleep.  Two
 * processes that wait for each other in short turns can share a core for ever
 * though another one idles, and their link would seem to take 60 us instead of
 * 1; so the spin lets the other run now and then. */
static ndl_status finish(ndl_link_echo *e, ndl_comm_op *op, int peer,
                         size_t *len)
{
    const double start = ndl_comm_now(e->comm);
    bool done = false;
    for (int n = 1;; n++) {
        NDL_TRY(ndl_comm_test(e->comm, op, &done, len));
        if (done) return NDL_OK;
        const double waited = ndl_comm_now(e->comm) - start;
        if (waited > answer_sec) return no_answer(e, peer);
        if (waited > spin_sec)
            ndl_comm_wait(e->comm, wait_sec);
        else if (n % TESTS_A_YIELD == 0)
            sched_yield();
    }
}

static ndl_status say(ndl_link_echo *e, int peer, size_t len)
{
    size_t sent;
    NDL_TRY(ndl_comm_send_begin(e->comm, &e->send, peer, NDL_TAG_PROBE, e->out,
                                len));
    return finish(e, &e->send, peer, &sent);
}

static ndl_status hear(ndl_link_echo *e, int peer, size_t *len)
{
    NDL_TRY(ndl_comm_recv_begin(e->comm, &e->recv, peer, NDL_TAG_PROBE, e->in,
                                LONG_BYTES));
    return finish(e, &e->recv, peer, len);
}

/* ---- the side that asks ---- */

/* Seconds there and back. */
static ndl_status ask(ndl_link_echo *e, int peer, size_t bytes, double *sec)
{
    size_t got = 0, sent;
    const double start = ndl_comm_now(e->comm);
    memcpy(e->out, &word_echo, sizeof word_echo);
    NDL_TRY(ndl_comm_recv_begin(e->comm, &e->recv, peer, NDL_TAG_PROBE, e->in,
                                LONG_BYTES));
    NDL_TRY(ndl_comm_send_begin(e->comm, &e->send, peer, NDL_TAG_PROBE, e->out,
                                bytes));
    NDL_TRY(finish(e, &e->recv, peer, &got));
    *sec = ndl_comm_now(e->comm) - start;
    NDL_TRY(finish(e, &e->send, peer, &sent));
    if (got != bytes)
        return NDL_FAIL(NDL_EPROTO,
                        "link between ranks %d and %d: an echo of %zu bytes "
                        "has %zu: run the same version on all nodes",
                        e->comm->rank, peer, bytes, got);
    return NDL_OK;
}

static ndl_status ask_short(ndl_link_echo *e, int peer, double *latency_sec)
{
    double sec[N_SHORT];
    for (int i = 0; i < N_WARM; i++)
        NDL_TRY(ask(e, peer, SHORT_BYTES, &sec[0]));
    for (int i = 0; i < N_SHORT; i++)
        NDL_TRY(ask(e, peer, SHORT_BYTES, &sec[i]));
    ndl_doubles_sort(sec, N_SHORT);
    *latency_sec = fmax(ndl_doubles_median(sec, N_SHORT) / 2.0, 1e-9);
    return NDL_OK;
}

/* The least seconds one way. */
static ndl_status ask_long(ndl_link_echo *e, int peer, size_t bytes,
                           double *least_sec)
{
    double least = INFINITY, sec;
    for (int i = 0; i < N_LONG; i++) {
        NDL_TRY(ask(e, peer, bytes, &sec));
        least = fmin(least, sec / 2.0);
    }
    *least_sec = fmax(least, 1e-9);
    return NDL_OK;
}

/* From the difference; where noise makes that absurd, from the longer one. */
static double bandwidth(size_t bytes, double part_sec, double whole_sec)
{
    const double plain = (double)bytes / whole_sec;
    if (part_sec >= whole_sec) return plain;
    const double steep = 0.75 * (double)bytes / (whole_sec - part_sec);
    return fmin(steep, 2.0 * plain);
}

static ndl_status ask_all(ndl_link_echo *e, int peer, result *r)
{
    double first_sec, part_sec, whole_sec;
    NDL_TRY(ask_short(e, peer, &r->latency_sec));
    NDL_TRY(ask(e, peer, LONG_BYTES / 4, &first_sec));
    const size_t bytes = first_sec > slow_sec ? SLOW_BYTES : LONG_BYTES;
    NDL_TRY(ask_long(e, peer, bytes / 4, &part_sec));
    NDL_TRY(ask_long(e, peer, bytes, &whole_sec));
    r->bytes_per_sec = bandwidth(bytes, part_sec, whole_sec);
    memcpy(e->out, r, sizeof *r);
    return say(e, peer, sizeof *r);
}

/* ---- the side that echoes ---- */

static bool is_sane(const result *r, size_t len)
{
    return len == sizeof *r && isfinite(r->latency_sec) &&
           r->latency_sec > 0.0 && isfinite(r->bytes_per_sec) &&
           r->bytes_per_sec > 0.0;
}

static ndl_status echo_all(ndl_link_echo *e, int peer, result *r)
{
    for (;;) {
        size_t len = 0;
        NDL_TRY(hear(e, peer, &len));
        uint64_t word = 0;
        if (len >= sizeof word) memcpy(&word, e->in, sizeof word);
        if (word == word_echo) {
            memcpy(e->out, &word, sizeof word);
            NDL_TRY(say(e, peer, len));
            continue;
        }
        if (word == word_result) {
            memcpy(r, e->in, sizeof *r);
            if (is_sane(r, len)) return NDL_OK;
        }
        return NDL_FAIL(NDL_EPROTO,
                        "link between ranks %d and %d: a strange message of "
                        "%zu bytes: run the same version on all nodes",
                        e->comm->rank, peer, len);
    }
}

ndl_status ndl_link_echo_run(ndl_link_echo *e, int peer, ndl_link *out)
{
    result r = { .word = word_result };
    NDL_TRY(e->comm->rank < peer ? ask_all(e, peer, &r)
                                 : echo_all(e, peer, &r));
    out->latency_sec = r.latency_sec;
    out->bytes_per_sec = r.bytes_per_sec;
    return NDL_OK;
}
