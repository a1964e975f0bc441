/*
 * fake_cadence.h - a cadence that says what the test wants, for tests of the
 * scheduler: a test that includes it is not linked with the real one.
 */
#ifndef NOODLE_TESTS_FAKE_CADENCE_H
#define NOODLE_TESTS_FAKE_CADENCE_H

#include <stdlib.h>

#include "noodle/cadence.h"

/* Steps take step_sec, row_sec for each row and key_sec for each key that a
 * prompt row sees; nothing is known while step_sec is 0. */
typedef struct fake_times {
    double step_sec, row_sec, key_sec;
    double worst;                  /* 0: 1 */
    double decode_sec;             /* of late; 0: not seen */
    int (*groups)(int n_decoding); /* NULL: one */
    ndl_cadence_load learnt;       /* told last */
    int n_learnt;
} fake_times;

static fake_times fake;

struct ndl_cadence {
    int unused;
};

ndl_status ndl_cadence_create(ndl_cadence **out, int n_stages, int max_rows)
{
    NDL_ASSERT(n_stages >= 1 && max_rows >= 1);
    *out = malloc(sizeof **out);
    return *out ? NDL_OK : NDL_EOS;
}

void ndl_cadence_destroy(ndl_cadence **c)
{
    free(*c);
    *c = NULL;
}

void ndl_cadence_learn(ndl_cadence *c, const ndl_cadence_load *load,
                       const ndl_cadence_times *times)
{
    (void)c, (void)times;
    fake.learnt = *load;
    fake.n_learnt++;
}

int ndl_cadence_groups(ndl_cadence *c, int n_decoding)
{
    (void)c;
    NDL_ASSERT(n_decoding >= 1);
    return fake.groups ? fake.groups(n_decoding) : 1;
}

double ndl_cadence_step_sec(const ndl_cadence *c, const ndl_cadence_load *load)
{
    (void)c;
    if (fake.step_sec <= 0) return 0;
    return fake.step_sec +
           fake.row_sec * (load->decode_rows + load->prompt_rows) +
           fake.key_sec * load->prompt_keys;
}

double ndl_cadence_worst(const ndl_cadence *c)
{
    (void)c;
    return fake.worst > 1 ? fake.worst : 1;
}

double ndl_cadence_decode_sec(const ndl_cadence *c)
{
    (void)c;
    return fake.decode_sec;
}

int ndl_cadence_rows(const ndl_cadence *c, const ndl_cadence_load *load,
                     int pos, int at_most, double sec)
{
    if (fake.step_sec <= 0) return at_most;
    int n = 0;
    for (ndl_cadence_load l = *load; n < at_most; n++) {
        l.prompt_rows++;
        l.prompt_keys += pos + n + 1;
        if (ndl_cadence_step_sec(c, &l) > sec * (1 + 1e-9)) break;
    }
    return n;
}

#endif /* NOODLE_TESTS_FAKE_CADENCE_H */
