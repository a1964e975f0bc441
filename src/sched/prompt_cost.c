/* prompt_cost.c - see prompt_cost.h: least squares that forget. */
#include "prompt_cost.h"

enum { ENOUGH = 3 /* steps, to tell keys from rows */ };

/* About a hundred steps count: some prompts of a thousand tokens. */
static const double KEEP = 0.99;

/* Times as many rows as usual make a step one of another kind.  (test_cadence
 * with 40 seeds: with 2 what steps of 8 to 256 rows told is lost in four of
 * them, with 4 and 8 in none.) */
static const double MANY = 4.0;

/* Below it keys a row have varied by less than a sixth (whose square it is):
 * with a tenth of noise three steps would tell next to nothing of either.
 * (steps_of_a_row_do_not_tell_what_many_cost with that noise, 200 seeds: a
 * chunk seemed to cost at least 0.13 of what it did with 1e-4 and 0.01, 0.33
 * with 0.03, 0.70 with 0.1; but with 0.1 waits rose from 0.78 to 0.94 of a
 * stall of eight steps, four stages of test_scheduler_busy, and prompts of 8192
 * at --stall-ms 200 were no faster, two runs of each.) */
static const double INDEPENDENT = 0.03;

/* A coefficient below zero is noise: the other one explains all there is. */
static void solve(ndl_prompt_cost *c)
{
    const double det = c->rr * c->kk - c->rk * c->rk;
    c->row_sec = c->rt / c->rr;
    c->key_sec = 0.0;
    if (c->n < ENOUGH || !(det > INDEPENDENT * c->rr * c->kk)) return;
    const double row_sec = (c->rt * c->kk - c->kt * c->rk) / det;
    const double key_sec = (c->kt * c->rr - c->rt * c->rk) / det;
    if (key_sec < 0.0) return;
    c->row_sec = row_sec > 0.0 ? row_sec : 0.0;
    c->key_sec = row_sec > 0.0 ? key_sec : c->kt / c->kk;
}

/* A row or two more hide in the time that the weights take to be read: what
 * they seemed to cost, behind many keys, would tell from afar that rows are for
 * free and keys dear. */
bool ndl_prompt_cost_is_strange(const ndl_prompt_cost *c, double rows)
{
    return c->n == 0 || rows > MANY * c->rr / c->steps;
}

static void fade(ndl_prompt_cost *c)
{
    c->rr *= KEEP;
    c->rk *= KEEP;
    c->kk *= KEEP;
    c->rt *= KEEP;
    c->kt *= KEEP;
    c->steps *= KEEP;
}

void ndl_prompt_cost_learn(ndl_prompt_cost *c, double rows, double keys,
                           double sec)
{
    if (ndl_prompt_cost_is_strange(c, rows)) *c = (ndl_prompt_cost){ 0 };
    fade(c);
    c->rr += rows;
    c->rk += keys;
    c->kk += keys * keys / rows;
    c->rt += sec;
    c->kt += keys * sec / rows;
    c->steps += 1.0;
    if (c->n < ENOUGH) c->n++;
    solve(c);
}

double ndl_prompt_cost_sec(const ndl_prompt_cost *c, double rows, double keys)
{
    return c->row_sec * rows + c->key_sec * keys;
}
