/* prompt_cost.c - see prompt_cost.h: least squares that forget. */
#include "prompt_cost.h"

enum { ENOUGH = 3 /* steps, to tell keys from rows */ };

/* About a hundred steps count: some prompts of a thousand tokens. */
static const double KEEP = 0.99;

/* Times as many rows as usual make a step one of another kind. */
static const double MANY = 4.0;

/* Below it rows and keys have been in proportion so far. */
static const double INDEPENDENT = 1e-4;

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

static void fade(ndl_prompt_cost *c, double keep)
{
    c->steps *= keep;
    c->rr *= keep;
    c->rk *= keep;
    c->kk *= keep;
    c->rt *= keep;
    c->kt *= keep;
}

/* Of those learnt before, when `rows` come.  A row or two more hide in the time
 * that the weights take to be read: what they seemed to cost, behind many keys,
 * would otherwise tell from afar that rows are free and keys dear. */
static double still_valid(const ndl_prompt_cost *c, double rows)
{
    const double usual = c->rr / c->steps;
    return rows > MANY * usual ? usual / rows : 1.0;
}

void ndl_prompt_cost_learn(ndl_prompt_cost *c, double rows, double keys,
                           double sec)
{
    if (c->n > 0) fade(c, KEEP * still_valid(c, rows));
    c->steps += 1.0;
    c->rr += rows;
    c->rk += keys;
    c->kk += keys * keys / rows;
    c->rt += sec;
    c->kt += keys * sec / rows;
    if (c->n < ENOUGH) c->n++;
    solve(c);
}

double ndl_prompt_cost_sec(const ndl_prompt_cost *c, double rows, double keys)
{
    return c->row_sec * rows + c->key_sec * keys;
}
