/* mpi_probe.c - what layers take, measured by several ranks of a node. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/probe.h"
#include "toy.h"

#define LIMIT_SEC 1.0

static ndl_model model_of(int t)
{
    ndl_model m;
    CHECK(ndl_model_parse(&m, toys[t].config, strlen(toys[t].config), NULL, 0,
                          toys[t].name) == NDL_OK);
    return m;
}

static ndl_mix mix_of(int t)
{
    ndl_mix mix;
    CHECK(ndl_mix_read(&mix, toys[t].mix) == NDL_OK);
    return mix;
}

static ndl_probe_setup setup_of(int t, const ndl_model *m, const ndl_kernels *k)
{
    return (ndl_probe_setup){ .model = m,
                              .mix = mix_of(t),
                              .kv_types = toys[t].kv_types,
                              .kernels = k,
                              .n_threads = 1,
                              .speed = 1.0,
                              .chunk_rows = 64,
                              .context = 200,
                              .n_slots = 5,
                              .max_sec = LIMIT_SEC };
}

static int count(const ndl_profile_rank *r, ndl_layer_kind kind, int crowded)
{
    int n = 0;
    for (int i = 0; i < r->n_samples; i++)
        n +=
            r->samples[i].kind == (int)kind && r->samples[i].crowded == crowded;
    return n;
}

static void check_samples(const ndl_profile_rank *r)
{
    ndl_cost cost;
    CHECK(r->n_samples > 0 && r->n_samples <= NDL_PROFILE_SAMPLES);
    for (int i = 0; i < r->n_samples; i++) {
        const ndl_sample *s = &r->samples[i];
        CHECK(ndl_sample_flaw(s) == NULL);
        CHECK(s->median_sec >= s->sec);
        CHECK(s->rows <= 64);
        CHECK(s->context + s->rows / s->sequences <= 200);
    }
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
        CHECK(count(r, (ndl_layer_kind)k, 1) > 0);
    CHECK(count(r, NDL_LAYER_BLOCK, 0) > 0);
    CHECK(count(r, NDL_LAYER_HEAD, 0) > 0);
    CHECK(ndl_cost_fit(&cost, r->samples, r->n_samples) == NDL_OK);
    CHECK(isfinite(cost.max_error));
}

static void
every_host_measures_all_kinds_crowded_and_alone(ndl_comm *c,
                                                const ndl_kernels *k)
{
    for (int t = 0; t < N_TOYS; t++) {
        const ndl_model m = model_of(t);
        const ndl_probe_setup s = setup_of(t, &m, k);
        ndl_profile_rank r = { .host = "kept", .rank = c->rank, .node = 7 };
        const double begin = ndl_clock_sec();
        CHECK(ndl_probe_layers(c, &s, &r) == NDL_OK);
        /* Twice the limit, and what a machine that others use may add. */
        CHECK(ndl_clock_sec() - begin < 2.0 * LIMIT_SEC + 10.0);
        check_samples(&r);
        CHECK(r.load == NDL_LOAD_MAP || r.load == NDL_LOAD_COPY);
        CHECK(r.map_bytes_per_sec > 0.0 && r.copy_bytes_per_sec > 0.0);
        CHECK(strcmp(r.host, "kept") == 0 && r.node == 7);
        if (c->rank == 0)
            printf("%s: %d samples in %.2f s\n", toys[t].name, r.n_samples,
                   ndl_clock_sec() - begin);
    }
}

static void ranks_that_host_nothing_take_part(ndl_comm *c, const ndl_kernels *k)
{
    const ndl_model m = model_of(0);
    ndl_probe_setup s = setup_of(0, &m, k);
    ndl_profile_rank r = { .rank = c->rank };
    s.load = NDL_LOAD_COPY;
    if (c->rank == 0 && c->size > 1) s.n_threads = 0;
    CHECK(ndl_probe_layers(c, &s, &r) == NDL_OK);
    CHECK(r.n_threads == s.n_threads);
    if (s.n_threads > 0)
        check_samples(&r);
    else
        CHECK(r.n_samples == 0);
    CHECK(s.n_threads == 0 || r.load == NDL_LOAD_COPY);
}

static void limits_of_one_row_and_one_slot_are_enough(ndl_comm *c,
                                                      const ndl_kernels *k)
{
    const ndl_model m = model_of(3);
    ndl_probe_setup s = setup_of(3, &m, k);
    ndl_profile_rank r = { .rank = c->rank };
    s.chunk_rows = s.n_slots = 1;
    s.context = 2;
    s.max_sec = 0.2;
    CHECK(ndl_probe_layers(c, &s, &r) == NDL_OK);
    for (int i = 0; i < r.n_samples; i++)
        CHECK(r.samples[i].kind == NDL_LAYER_HEAD || r.samples[i].rows == 1);
    CHECK(r.n_samples > 0);
}

/* Of one block of decode, crowded. */
static double decode_sec(const ndl_profile_rank *r)
{
    for (int i = 0; i < r->n_samples; i++) {
        const ndl_sample *s = &r->samples[i];
        if (s->kind == NDL_LAYER_BLOCK && s->rows == 1 && s->crowded)
            return s->sec;
    }
    return 0.0;
}

static void an_emulated_speed_is_measured(ndl_comm *c, const ndl_kernels *k)
{
    const ndl_model m = model_of(0);
    ndl_probe_setup s = setup_of(0, &m, k);
    ndl_profile_rank plain = { .rank = c->rank }, slow = plain;
    CHECK(ndl_probe_layers(c, &s, &plain) == NDL_OK);
    s.speed = 0.02;
    CHECK(ndl_probe_layers(c, &s, &slow) == NDL_OK);
    CHECK(slow.speed == 0.02);
    CHECK(decode_sec(&slow) > 5.0 * decode_sec(&plain));
}

static void a_rank_without_memory_stops_all(ndl_comm *c, const ndl_kernels *k)
{
    ndl_model m = model_of(0);
    ndl_probe_setup s = setup_of(0, &m, k);
    ndl_profile_rank r = { .rank = 42 };
    if (c->rank == c->size - 1) m.width = m.ffn = 1 << 20;
    CHECK(ndl_probe_layers(c, &s, &r) == NDL_EOS);
    CHECK(r.rank == 42 && r.n_samples == 0);
    CHECK(c->rank != 0 || strstr(ndl_status_message(), "block"));
    ndl_status_clear();
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    ndl_kernels k;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    ndl_kernels_init(&k, ndl_cpu_flags());
    every_host_measures_all_kinds_crowded_and_alone(c, &k);
    ranks_that_host_nothing_take_part(c, &k);
    limits_of_one_row_and_one_slot_are_enough(c, &k);
    an_emulated_speed_is_measured(c, &k);
    a_rank_without_memory_stops_all(c, &k);
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
