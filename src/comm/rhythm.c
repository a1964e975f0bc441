/* rhythm.c - see rhythm.h. */
#include "rhythm.h"

/* Shorter ones end in the spin or soon after. */
static const double shortest_sec = 1e-3;
/* What a waking takes, and how much regular waits differ all the same. */
static const double slack_sec = 60e-6, slack_share = 1.0 / 64.0;
/* Of a wait to be awake at most; usually it ends in the middle. */
static const double most_share = 1.0 / 8.0;

/* Windows that were wrong are tried again now and then. */
enum { BEGINS_A_TRIAL = 16 };

void ndl_rhythm_init(ndl_rhythm *r)
{
    *r = (ndl_rhythm){ .payoff = 1.0 };
}

void ndl_rhythm_begin(ndl_rhythm *r)
{
    r->from_sec = r->to_sec = 0.0;
    r->n_begun++;
    if (r->n_waits < NDL_RHYTHM_WAITS) return;
    if (r->payoff < 0.5 && r->n_begun % BEGINS_A_TRIAL != 0) return;
    double least = r->last_sec[0], most = r->last_sec[0];
    for (int i = 1; i < NDL_RHYTHM_WAITS; i++) {
        if (r->last_sec[i] < least) least = r->last_sec[i];
        if (r->last_sec[i] > most) most = r->last_sec[i];
    }
    const double slack = slack_sec + slack_share * least;
    if (most - least + 2.0 * slack > most_share * least) return;
    r->from_sec = least - slack;
    r->to_sec = most + slack;
}

void ndl_rhythm_end(ndl_rhythm *r, double sec)
{
    if (!(sec >= shortest_sec)) return;
    if (r->to_sec > 0.0) {
        const bool is_right = sec >= r->from_sec && sec <= r->to_sec;
        r->payoff = 0.75 * r->payoff + (is_right ? 0.25 : 0.0);
    }
    r->last_sec[r->n_waits++ % NDL_RHYTHM_WAITS] = sec;
}
