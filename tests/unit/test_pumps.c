/*
 * test_pumps.c - whatever the split, the schedule and the network, the pipeline
 * says what one thread says that computes a request alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "folder.h"
#include "kernels.h"
#include "noodle/file.h"
#include "pump_world.h"

enum {
    N_RUNS = CHANCE_CASES(300),
    N_CASES = 14,
    MAX_NEW = 7,
    MAX_PROMPT = 300
};

/* A request and what it must give. */
typedef struct given {
    int32_t prompt[MAX_PROMPT];
    ndl_request r;
    int32_t out[MAX_NEW];
} given;

static test_folder folder;
static char path[N_TOYS][320];
static given cases[N_TOYS][N_CASES];
static uint64_t seed;

static double share(void)
{
    return (double)(random_bits() >> 11) * 0x1p-53;
}

static void make_case(int t, int i)
{
    given *g = &cases[t][i];
    /* Most prompts are short; some cross a page of keys while they grow. */
    const int n = i == 0              ? 1
                  : i == 1            ? 254
                  : i == 9 || i == 10 ? 243 + i
                  : i == 2 || i == 11 ? 300
                                      : between(1, 30);
    toy_prompt(random_bits(), g->prompt, n);
    /* And some begin alike. */
    if (i >= 11)
        memcpy(g->prompt, cases[t][i == 11 ? 2 : i - 4].prompt,
               sizeof *g->prompt * (size_t)(i == 11 ? 270 : n));
    g->r = (ndl_request){ .prompt = g->prompt,
                          .n_prompt = n,
                          .max_new = i == 3 ? 0 : between(1, MAX_NEW),
                          .sampling = { .temperature = i % 2 ? 0.0f : 0.9f,
                                        .top_k = i % 3 ? 0 : 40,
                                        .top_p = i % 4 ? 1.0f : 0.9f,
                                        .seed = random_bits() } };
    if (g->r.max_new == 0) return;
    assert_int_equal(
        toy_generate(path[t], (toy_how){ toys[t].kv_types, ndl_cpu_flags() },
                     &g->r, g->out),
        g->r.max_new);
}

static int make_cases(void **state)
{
    (void)state;
    seed = chance_seed(20240609);
    random_state = seed;
    if (test_folder_make(&folder) != 0) return -1;
    for (int t = 0; t < N_TOYS; t++) {
        snprintf(path[t], sizeof path[t], "%s",
                 test_folder_at(&folder, toys[t].name));
        assert_int_equal(toy_write(t, path[t]), NDL_OK);
        for (int i = 0; i < N_CASES; i++) make_case(t, i);
    }
    return 0;
}

static int remove_cases(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

/* The text that a request gives in a context, with its end token cut off. */
static int expected(const ndl_request *r, int context, ndl_finish *why)
{
    const int room = context - r->n_prompt + 1;
    const int most = r->max_new < room ? r->max_new : room;
    const given *g = (const given *)(const void *)r->prompt;
    for (int i = 0; i < most; i++)
        for (int k = 0; k < r->n_eos; k++)
            if (g->out[i] == r->eos[k]) {
                *why = NDL_FINISH_EOS;
                return i;
            }
    *why = r->max_new <= room ? NDL_FINISH_LENGTH : NDL_FINISH_CONTEXT;
    return most;
}

static world_setup plain_setup(int t, int n_stages)
{
    world_setup s = { .weights = path[t],
                      .n_stages = n_stages,
                      .n_slots = 4,
                      .max_rows = 16,
                      .context = 400,
                      .n_threads = 1,
                      .kv_types = toys[t].kv_types,
                      .cpu_flags = ndl_cpu_flags(),
                      .latency_sec = 1e-5,
                      .bytes_per_sec = 1e9,
                      .compute_sec = 1e-4,
                      .eager_bytes = 4096 };
    for (int i = 0; i < n_stages; i++) s.blocks[i] = TOY_BLOCKS / n_stages;
    s.blocks[0] += TOY_BLOCKS % n_stages;
    return s;
}

/* TOY_BLOCKS blocks over the stages, at random; a last stage may have none. */
static void random_split(world_setup *s)
{
    for (int i = 0; i < s->n_stages; i++) s->blocks[i] = 1;
    const bool head_alone = s->n_stages > 1 && between(0, 3) == 0;
    if (head_alone) s->blocks[s->n_stages - 1] = 0;
    for (int left = TOY_BLOCKS - s->n_stages + head_alone; left > 0; left--)
        s->blocks[between(0, s->n_stages - 1 - head_alone)]++;
}

static world_setup random_setup(int t, ndl_request *requests)
{
    world_setup s = plain_setup(t, between(1, WORLD_STAGES));
    random_split(&s);
    s.hosted = s.n_stages == 1 && between(0, 1);
    s.n_slots = between(1, 6);
    const int least = (s.n_slots + s.n_stages - 1) / s.n_stages;
    s.max_rows = between(0, 2) ? between(least, 64) : least + between(0, 5);
    s.context = between(0, 2) ? 400 : between(300, 304);
    s.n_threads = between(0, 15) ? 1 : 2;
    /* bf16 arithmetic of the processor has bits of its own. */
    const bool own_bits = toys[t].kv_types.k != NDL_F32;
    s.cpu_flags = between(0, 9) || own_bits ? ndl_cpu_flags() : 0;
    s.latency_sec = share() * 1e-3;
    s.bytes_per_sec = between(0, 1) ? 1e6 + share() * 1e9 : 0.0;
    s.jitter_sec = between(0, 1) ? share() * 2e-3 : 0.0;
    s.compute_sec = share() * 2e-3;
    s.eager_bytes = (size_t)between(0, 2) * 4096;
    s.seed = random_bits();
    s.requests = requests;
    s.n_requests = between(0, WORLD_REQUESTS);
    /* A context takes two pages. */
    s.n_pages = between(0, 1) ? between(2, 6) : 0;
    s.n_groups = between(0, 1) ? between(1, 5) : 0;
    s.stall_sec = between(0, 1) ? share() * 5e-3 : 0.0;
    s.no_reuse = between(0, 4) == 0;
    /* All of them soon want a second page. */
    const bool tight = s.n_pages > 0 && s.n_pages < 5 && between(0, 1);
    for (int i = 0; i < s.n_requests; i++) {
        /* Long prompts cost most of the time: fewer of them. */
        int k = between(0, N_CASES - 1);
        if ((k < 3 || k > 8) && between(0, 2)) k = 3 + k % 3;
        if (tight) k = i % 3 ? 8 + i % 3 : 1;
        const given *g = &cases[t][k];
        requests[i] = g->r;
        if (g->r.max_new > 0 && between(0, 3) == 0) {
            requests[i].eos = &g->out[between(0, g->r.max_new - 1)];
            requests[i].n_eos = 1;
        }
    }
    return s;
}

static void check_text(const world *w, int i)
{
    const ndl_request *r = &w->setup.requests[i];
    const world_text *t = &w->texts[i];
    const given *g = (const given *)(const void *)r->prompt;
    ndl_finish why = NDL_FINISH_NONE;
    int n = expected(r, w->setup.context, &why);
    /* The client has had enough of it, if more was to come. */
    if (t->refuse_at > 0 && t->refuse_at <= n) {
        if (t->refuse_at < n || why == NDL_FINISH_EOS) why = NDL_FINISH_STOPPED;
        n = t->refuse_at;
    }
    assert_int_equal(t->n_finishes, 1);
    assert_int_equal(t->why, why);
    assert_int_equal(t->n, n);
    assert_memory_equal(t->ids, g->out, sizeof *t->ids * (size_t)n);
}

/* Rows that all requests make: their prompts, and every token but the last. */
static uint64_t rows_of(const world *w)
{
    uint64_t rows = 0;
    for (int i = 0; i < w->setup.n_requests; i++) {
        const ndl_request *r = &w->setup.requests[i];
        ndl_finish why = NDL_FINISH_NONE;
        int n = expected(r, w->setup.context, &why);
        if (why == NDL_FINISH_EOS) n++;
        rows += (uint64_t)r->n_prompt + (uint64_t)(n > 0 ? n - 1 : 0);
    }
    return rows;
}

static bool is_refused(const world *w)
{
    for (int i = 0; i < w->setup.n_requests; i++)
        if (w->texts[i].refuse_at > 0) return true;
    return false;
}

/* Over all runs. */
static struct {
    int64_t preemptions, hit_tokens, refused;
} seen;

static void check_totals(const world *w)
{
    const int n = w->setup.n_stages;
    const ndl_wire_totals *first = ndl_coordinator_totals(w->coordinator, 0);
    /* What another prompt has computed already is not computed again; what was
     * given up is, and what nobody wants any more is not. */
    const ndl_scheduler_counts counts = ndl_coordinator_counts(w->coordinator);
    if (counts.preemptions == 0 && !is_refused(w))
        assert_int_equal(first->rows + (uint64_t)counts.pages.hit_tokens,
                         rows_of(w));
    seen.preemptions += counts.preemptions;
    seen.hit_tokens += counts.pages.hit_tokens;
    seen.refused += is_refused(w);
    for (int i = 0; i < n; i++) {
        const ndl_wire_totals *t = ndl_coordinator_totals(w->coordinator, i);
        assert_int_equal(t->rows, first->rows);
        assert_int_equal(t->batches, first->batches);
        if (i > 0)
            assert_int_equal(
                t->bytes_in,
                ndl_coordinator_totals(w->coordinator, i - 1)->bytes_out);
        assert_true(t->busy_sec >= 0.0 && t->wait_sec >= 0.0 &&
                    t->send_sec >= 0.0);
        assert_true(t->busy_sec + t->wait_sec + t->send_sec <=
                    ndl_fake_now(w->fake) + 1e-9);
    }
    const uint64_t sent = first->batches;
    assert_int_equal(ndl_fake_n_sent(w->fake, NDL_TAG_TOKENS), sent);
    assert_int_equal(ndl_fake_n_sent(w->fake, NDL_TAG_BATCH),
                     (sent + 1) * (uint64_t)n); /* and STOP */
}

static void texts_are_those_of_one_thread_alone(void **state)
{
    (void)state;
    static world w;
    ndl_request requests[WORLD_REQUESTS];
    for (int run = 0; run < N_RUNS; run++) {
        random_state = seed + (uint64_t)run * 1000003;
        const world_setup s = random_setup(run % N_TOYS, requests);
        world_open(&w, &s);
        for (int i = 0; i < s.n_requests; i++)
            if (between(0, 15) == 0) w.texts[i].refuse_at = between(1, 3);
        assert_int_equal(world_run(&w, 100.0), NDL_OK);
        assert_string_equal(ndl_status_message(), "");
        for (int i = 0; i < s.n_requests; i++) check_text(&w, i);
        check_totals(&w);
        for (int i = 0; i < s.n_stages; i++)
            assert_int_equal(w.left[i], NDL_OK);
        world_close_pumps(&w);
        assert_int_equal(ndl_fake_n_unreceived(w.fake), 0);
        assert_int_equal(ndl_fake_n_unmatched(w.fake), 0);
        world_close(&w);
    }
    assert_true(seen.preemptions > 0 && seen.hit_tokens > 0 &&
                seen.refused > 0);
}

/* Runs shorter than the time between signs of life. */
static void stop_drains_and_every_stage_is_done_once(void **state)
{
    (void)state;
    static world w;
    const ndl_request requests[2] = { cases[0][4].r, cases[0][5].r };
    for (int n = 1; n <= WORLD_STAGES; n++) {
        world_setup s = plain_setup(0, n);
        s.requests = requests;
        s.n_requests = 2;
        world_open(&w, &s);
        assert_int_equal(world_run(&w, 1.0), NDL_OK);
        /* The answer to the ping that every run begins with may go with the
         * totals. */
        const int reports = ndl_fake_n_sent(w.fake, NDL_TAG_REPORT);
        assert_in_range(reports, n, 2 * n);
        assert_int_equal(ndl_fake_n_sent(w.fake, NDL_TAG_ORDER), 2 * n);
        check_totals(&w);
        world_close(&w);
    }
}

/* Slow networks and computers: signs of life must not confuse the end. */
static void slow_run_ends_as_well(void **state)
{
    (void)state;
    static world w;
    const ndl_request requests[3] = { cases[0][4].r, cases[0][5].r,
                                      cases[0][1].r };
    for (int n = 1; n <= WORLD_STAGES; n++) {
        world_setup s = plain_setup(0, n);
        s.requests = requests;
        s.n_requests = 3;
        s.latency_sec = 1.0;
        s.compute_sec = 20.0;
        world_open(&w, &s);
        assert_int_equal(world_run(&w, 3e4), NDL_OK);
        for (int i = 0; i < 3; i++) check_text(&w, i);
        check_totals(&w);
        world_close(&w);
    }
}

static void client_that_refuses_ends_only_its_request(void **state)
{
    (void)state;
    static world w;
    ndl_request requests[6];
    for (int n = 1; n <= WORLD_STAGES; n++) {
        world_setup s = plain_setup(0, n);
        s.requests = requests;
        s.n_requests = 6;
        for (int i = 0; i < 6; i++) requests[i] = cases[0][i + 4].r;
        requests[2] = cases[0][0].r;
        requests[2].max_new = 40;
        world_open(&w, &s);
        w.texts[2].refuse_at = 2;
        assert_int_equal(world_run(&w, 10.0), NDL_OK);
        for (int i = 0; i < 6; i++)
            if (i != 2) check_text(&w, i);
        assert_int_equal(w.texts[2].n_finishes, 1);
        assert_int_equal(w.texts[2].why, NDL_FINISH_STOPPED);
        assert_int_equal(w.texts[2].n, 2);
        world_close(&w);
    }
}

static void stop_in_the_middle_drains_with_its_status(void **state)
{
    (void)state;
    static world w;
    ndl_request requests[8];
    for (int k = 0; k < 60; k++) {
        const int n = 1 + k % WORLD_STAGES;
        world_setup s = plain_setup(0, n);
        s.requests = requests;
        s.n_requests = 8;
        for (int i = 0; i < 8; i++) requests[i] = cases[0][i + 4].r;
        world_open(&w, &s);
        for (int i = 0; i < 3 * k; i++) assert_true(world_turn(&w));
        ndl_coordinator_stop(w.coordinator, NDL_EINT);
        ndl_coordinator_stop(w.coordinator, NDL_ETERM); /* the first wins */
        const ndl_status st = world_run(&w, 10.0);
        for (int i = 0; i < n; i++) assert_int_equal(w.left[i], st);
        int unfinished = 0;
        for (int i = 0; i < 8; i++) unfinished += w.texts[i].n_finishes == 0;
        assert_int_equal(st, unfinished || st ? NDL_EINT : NDL_OK);
        if (k == 0) assert_int_equal(unfinished, 8);
        world_close_pumps(&w);
        assert_int_equal(ndl_fake_n_unreceived(w.fake), 0);
        world_close(&w);
    }
}

/* Signs of life are on their way, very late, when the run ends. */
static void orders_on_their_way_do_not_change(void **state)
{
    (void)state;
    static world w;
    world_setup s = plain_setup(0, 2);
    const ndl_request request = cases[0][0].r;
    s.requests = &request;
    s.n_requests = 1;
    s.latency_sec = 4.0;
    s.eager_bytes = 0;
    world_open(&w, &s);
    assert_int_equal(world_run(&w, 1e3), NDL_OK);
    check_text(&w, 0);
    world_close(&w);
}

/* All rows of a prompt, over a page and many chunks, to the bit. */
static void logits_file_has_the_logits_of_one_thread(void **state)
{
    (void)state;
    static world w;
    char file[400], *bytes = NULL;
    size_t n_bytes = 0;
    const size_t header = 128;
    for (int n = 1; n <= WORLD_STAGES; n++) {
        const int t = n % N_TOYS;
        const given *g = &cases[t][1 + n % 2];
        const toy_how how = { toys[t].kv_types, ndl_cpu_flags() };
        const size_t vocab = (size_t)toy_vocab();
        const size_t size = (size_t)g->r.n_prompt * vocab * sizeof(float);
        float *logits = NULL;
        ndl_request request = g->r;
        world_setup s = plain_setup(t, n);
        request.max_new = 0;
        request.want_logits = true;
        s.requests = &request;
        s.n_requests = 1;
        s.max_rows = 37;
        s.logits = file;
        snprintf(file, sizeof file, "%s", test_folder_at(&folder, "l.npy"));
        world_open(&w, &s);
        assert_int_equal(world_run(&w, 10.0), NDL_OK);
        world_close(&w);
        assert_int_equal(
            toy_logits(path[t], how, g->prompt, g->r.n_prompt, &logits),
            NDL_OK);
        assert_int_equal(ndl_file_read(&bytes, &n_bytes, file, 1 << 30),
                         NDL_OK);
        assert_int_equal(n_bytes, header + size);
        assert_memory_equal(bytes + header, logits, size);
        free(bytes);
        free(logits);
        remove(file);
    }
}

static void logits_file_of_a_stopped_run_is_not_there(void **state)
{
    (void)state;
    static world w;
    char file[400];
    ndl_request request = cases[0][2].r;
    world_setup s = plain_setup(0, 2);
    request.want_logits = true;
    s.requests = &request;
    s.n_requests = 1;
    s.logits = file;
    snprintf(file, sizeof file, "%s", test_folder_at(&folder, "l.npy"));
    world_open(&w, &s);
    const int before = test_folder_count(&folder); /* with the .part */
    for (int i = 0; i < 20; i++) world_turn(&w);
    ndl_coordinator_stop(w.coordinator, NDL_EINT);
    assert_int_equal(world_run(&w, 10.0), NDL_EINT);
    world_close(&w);
    assert_int_equal(test_folder_count(&folder), before - 1);
    assert_int_equal(access(file, F_OK), -1);
}

/* One batch for every stage, and half as many wait before them. */
static void half_more_batches_than_stages_are_in_flight(void **state)
{
    (void)state;
    static world w;
    const ndl_request request = cases[0][2].r; /* 300 rows */
    for (int n = 1; n <= WORLD_STAGES; n++) {
        world_setup s = plain_setup(0, n);
        s.requests = &request;
        s.n_requests = 1;
        for (int i = 0; i < n; i++) s.no_stage[i] = true;
        world_open(&w, &s);
        for (int i = 0; i < 50; i++) world_turn(&w);
        assert_int_equal(ndl_fake_n_sent(w.fake, NDL_TAG_BATCH),
                         n + (n + 1) / 2);
        world_close(&w);
    }
}

static void idle_ranks_are_let_go_too(void **state)
{
    (void)state;
    static world w;
    const ndl_request request = cases[0][4].r;
    world_setup s = plain_setup(0, 2);
    ndl_wire_order order;
    s.requests = &request;
    s.n_requests = 1;
    s.n_idle = 2;
    for (int rank = 3; rank <= 4; rank++) {
        world_open(&w, &s);
        order.kind = NDL_ORDER_ALIVE;
        while (order.kind == NDL_ORDER_ALIVE)
            assert_int_equal(world_receive(&w, 0, rank, NDL_TAG_ORDER, &order,
                                           sizeof order, 10.0),
                             sizeof order);
        assert_int_equal(order.kind, NDL_ORDER_LEAVE);
        assert_int_equal(order.status, NDL_OK);
        assert_int_equal(world_run(&w, 10.0), NDL_OK);
        check_text(&w, 0);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_those_of_one_thread_alone),
        cmocka_unit_test(stop_drains_and_every_stage_is_done_once),
        cmocka_unit_test(slow_run_ends_as_well),
        cmocka_unit_test(client_that_refuses_ends_only_its_request),
        cmocka_unit_test(stop_in_the_middle_drains_with_its_status),
        cmocka_unit_test(logits_file_has_the_logits_of_one_thread),
        cmocka_unit_test(logits_file_of_a_stopped_run_is_not_there),
        cmocka_unit_test(half_more_batches_than_stages_are_in_flight),
        cmocka_unit_test(idle_ranks_are_let_go_too),
        cmocka_unit_test(orders_on_their_way_do_not_change),
    };
    return cmocka_run_group_tests(tests, make_cases, remove_cases);
}
