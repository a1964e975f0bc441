/* forward_clock.c - the time of each layer, and layers that take longer than
 * they would. */
#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "forward_parts.h"
#include "noodle/clock.h"
#include "pace.h"

void ndl_forward_watch(ndl_forward *f, ndl_layer_clock *clocks)
{
    f->clocks = clocks;
}

ndl_status ndl_forward_slow(ndl_forward *f, double speed,
                            void (*idle)(void *arg), void *arg)
{
    NDL_ASSERT(speed > 0.0 && speed <= 1.0);
    if (!f->pace) f->pace = calloc(1, sizeof *f->pace);
    if (!f->pace) return NDL_FAIL(NDL_EOS, "forward pass: out of memory");
    f->speed = speed;
    f->idle = idle;
    f->idle_arg = arg;
    return NDL_OK;
}

/* What others took of the processor, or a page that had to be found, is not the
 * layer's work and must not be multiplied.  With several threads the processor
 * time is their sum, so that the time that passed has to do. */
static bool counts_work(const ndl_forward *f)
{
    return ndl_pool_size(f->pool) == 1;
}

double ndl_forward_layer_begin(ndl_forward *f)
{
    if (f->pace && counts_work(f)) f->work_begin = ndl_clock_cpu_sec();
    return f->clocks || f->pace ? ndl_clock_sec() : 0.0;
}

/* Linux wakes a sleeper about 50 us late: so much before the end we only let
 * others go first, or a fast layer would be slower than it was told to be.
 * Naps get longer with the wait: looking after messages is work of its own, and
 * many slow ranks share few cores.  (Sixteen at 0.05 of their speed, a prompt
 * of 256 of llama-3.2-1b int8 in chunks of 64: 14.8 s of processor time in all,
 * with naps of 200 us 24.8 s, and stages busy for the same time.) */
static double wait_until(const ndl_forward *f, double begin, double until)
{
    const double nap_sec = fmin(fmax((until - begin) / 100.0, 200e-6), 2e-3);
    const double late_sec = 60e-6;
    for (;;) {
        const double now = ndl_clock_sec();
        const double left = until - now;
        if (left <= 0.0) return now;
        if (f->idle) f->idle(f->idle_arg);
        if (left <= late_sec)
            sched_yield();
        else
            ndl_clock_sleep(left - late_sec < nap_sec ? left - late_sec
                                                      : nap_sec);
    }
}

static void count(ndl_layer_clock *c, int rows, double sec)
{
    if (c->steps == 0 || sec < c->min_sec) c->min_sec = sec;
    if (sec > c->max_sec) c->max_sec = sec;
    c->sum_sec += sec;
    c->rows += rows;
    c->steps++;
}

/* Layers of a part are the embedding, its blocks, the head; blocks are alike.
 */
static double full_speed_sec(ndl_forward *f, int layer, int rows, double work)
{
    const bool is_block = layer > 0 && layer <= f->part.n_layers;
    const ndl_pace_load load = {
        .kind = is_block     ? 1
                : layer == 0 ? 0
                             : 2,
        .rows = rows,
        .spans = is_block ? f->n_spans : 1,
        .keys = is_block ? f->n_keys : 0,
    };
    return ndl_pace_note(f->pace, &load, work);
}

void ndl_forward_layer_end(ndl_forward *f, int layer, int rows, double begin)
{
    if (!f->clocks && !f->pace) return;
    double now = ndl_clock_sec();
    if (f->pace) {
        const double work =
            counts_work(f) ? ndl_clock_cpu_sec() - f->work_begin : now - begin;
        const double sec = full_speed_sec(f, layer, rows, work);
        if (f->speed < 1.0) now = wait_until(f, begin, begin + sec / f->speed);
    }
    if (f->clocks) count(&f->clocks[layer], rows, now - begin);
}
