/*
 * mpi_same_bits.c - logits and texts do not depend on ranks, split, chunking,
 * threads, neighbours or instruction set; nor on which KV pages are shared,
 * copied, or given up and computed again.
 *
 * One launch runs the whole matrix of its np.  The truth is what one thread
 * says alone (toy.h); every pipeline must give it to the bit.  That the
 * reference kernels say the same is found out once, at np 1.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels.h"
#include "mpi_check.h"
#include "noodle/comm.h"
#include "noodle/session.h"
#include "toy.h"

enum { N_LOGITS = 290, N_TEXTS = 9, MAX_NEW = 24 };

static ndl_comm *comm;
static volatile sig_atomic_t no_signal;
static char folder[] = "/tmp/ndl_bits_XXXXXX";
static int n_sessions;
static int64_t n_preemptions, n_hits;

/* One session of the matrix. */
typedef struct setting {
    int toy;
    const char *split, *cpu;
    int rows, threads, slots;
    int pages, groups; /* as in ndl_session_setup */
    double stall_sec;  /* likewise */
    bool no_reuse, rank0_hosts;
} setting;

static void path_of(char *out, const char *name)
{
    snprintf(out, 300, "%s/%s.h5", folder, name);
}

/* ---- what the client hears ---- */

typedef struct heard {
    int n[N_TEXTS];
    int32_t ids[N_TEXTS][MAX_NEW];
    bool is_finished[N_TEXTS];
} heard;

static bool on_token(void *arg, int request, const ndl_token *token, double now)
{
    heard *h = arg;
    (void)now;
    CHECK(h->n[request] < MAX_NEW);
    h->ids[request][h->n[request]++] = token->id;
    return true;
}

static void on_finish(void *arg, int request, ndl_finish why, double now)
{
    heard *h = arg;
    (void)now;
    CHECK(why == NDL_FINISH_LENGTH);
    CHECK(!h->is_finished[request]);
    h->is_finished[request] = true;
}

/* Collective: rank 0 leads, the others follow until told that no more comes. */
static void announce(const char *cpu)
{
    char name[8];
    snprintf(name, sizeof name, "%s", cpu);
    CHECK(ndl_comm_bcast(comm, name, sizeof name) == NDL_OK);
    if (name[0])
        setenv("NDL_CPU", name, 1);
    else
        unsetenv("NDL_CPU");
}

/* Told before it begins: the last line of a run that failed, or was ended for
 * taking too long, says in which session, and whether it stood still there. */
static void describe(const setting *s)
{
    static double begun;
    if (n_sessions == 0) begun = MPI_Wtime();
    fprintf(stderr,
            "%5.1f s: %s split %s cpu %s rows %d threads %d slots %d pages %d "
            "groups %d%s%s\n",
            MPI_Wtime() - begun, toys[s->toy].name,
            s->split ? s->split : "auto", s->cpu[0] ? s->cpu : "best", s->rows,
            s->threads, s->slots, s->pages, s->groups,
            s->no_reuse ? " no reuse" : "",
            s->rank0_hosts ? " rank 0 shared" : "");
}

static void run(const setting *s, const ndl_request *requests, int n,
                const char *logits, heard *h)
{
    char path[300];
    ndl_store *store = NULL;
    ndl_model model;
    ndl_mix mix;
    ndl_session_result result = { 0 };
    path_of(path, toys[s->toy].name);
    CHECK(ndl_store_open(&store, path) == NDL_OK);
    CHECK(ndl_weights_read_model(store, &model, &mix) == NDL_OK);
    const ndl_session_setup setup = {
        .comm = comm,
        .store = store,
        .model = &model,
        .mix = mix,
        .kv_types = toys[s->toy].kv_types,
        .split = s->split,
        .load = NDL_LOAD_MAP,
        .n_threads = s->threads,
        .context = TOY_CONTEXT,
        .n_slots = s->slots,
        .n_pages = s->pages,
        .n_groups = s->groups,
        .stall_sec = s->stall_sec,
        .no_reuse = s->no_reuse,
        .rank0_hosts = s->rank0_hosts,
        .max_rows = s->rows,
        .logits = logits,
        .requests = requests,
        .n_requests = n,
        .client = { .arg = h, .on_token = on_token, .on_finish = on_finish },
    };
    describe(s);
    announce(s->cpu);
    const ndl_status st = ndl_session_lead(&setup, &result);
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    CHECK(st == NDL_OK);
    n_preemptions += result.counts.preemptions;
    n_hits += result.counts.pages.hit_tokens;
    ndl_session_result_fini(&result);
    ndl_store_close(&store);
    n_sessions++;
}

/* ---- logits ---- */

enum { BEST, REF, N_CPUS };
enum { N_ALIKE = 8, ALIKE_MOST = 520 };

typedef struct truth {
    int32_t ids[N_LOGITS];
    float *logits[N_CPUS][N_TOYS];
    ndl_request requests[N_TEXTS];
    int32_t prompts[N_TEXTS][80];
    int32_t texts[N_CPUS][N_TOYS][N_TEXTS][MAX_NEW];
    ndl_request alike[N_ALIKE]; /* with equal beginnings */
    int32_t alike_prompts[N_ALIKE][ALIKE_MOST];
    int32_t alike_texts[N_TOYS][N_ALIKE][MAX_NEW];
} truth;

/* By the processor's best instructions, and by none of them.  All but bf16
 * arithmetic must give the same; that has bits of its own where there is an
 * instruction for it. */
static bool has_bf16(int m)
{
    return toys[m].kv_types.k != NDL_F32 && (ndl_cpu_flags() & NDL_CPU_BF16);
}

static int which(const setting *s)
{
    return s->cpu[0] && has_bf16(s->toy) ? REF : BEST;
}

static truth t;

static void check_logits(const setting *s)
{
    enum { HEADER = 128 };
    char npy[300];
    const size_t bytes = (size_t)N_LOGITS * (size_t)toy_vocab() * sizeof(float);
    char *got = malloc(HEADER + bytes);
    heard h = { 0 };
    const ndl_request r = { .prompt = t.ids,
                            .n_prompt = N_LOGITS,
                            .want_logits = true };
    snprintf(npy, sizeof npy, "%s/l.npy", folder);
    run(s, &r, 1, npy, &h);
    FILE *f = fopen(npy, "rb");
    CHECK(f && fread(got, 1, HEADER + bytes, f) == HEADER + bytes);
    fclose(f);
    remove(npy);
    const bool same =
        memcmp(got + HEADER, t.logits[which(s)][s->toy], bytes) == 0;
    CHECK(same);
    free(got);
}

/* ---- texts ---- */

/* Requests that begin alike, in fewer pages than they would all need. */
static void check_alike(const setting *s)
{
    heard h = { 0 };
    run(s, t.alike, N_ALIKE, NULL, &h);
    for (int i = 0; i < N_ALIKE; i++) {
        const int want = t.alike[i].max_new;
        const bool same = h.is_finished[i] && h.n[i] == want &&
                          memcmp(h.ids[i], t.alike_texts[s->toy][i],
                                 (size_t)want * sizeof(int32_t)) == 0;
        CHECK(same);
    }
}

static void check_texts(const setting *s, int first, int n)
{
    heard h = { 0 };
    run(s, t.requests + first, n, NULL, &h);
    for (int i = 0; i < n; i++) {
        const int want = t.requests[first + i].max_new;
        const bool same = h.is_finished[i] && h.n[i] == want &&
                          memcmp(h.ids[i], t.texts[which(s)][s->toy][first + i],
                                 (size_t)want * sizeof(int32_t)) == 0;
        CHECK(same);
    }
}

static void find_truth_of(const char *path, int m, int c)
{
    const toy_how how = { toys[m].kv_types, c == REF ? 0 : ndl_cpu_flags() };
    CHECK(toy_logits(path, how, t.ids, N_LOGITS, &t.logits[c][m]) == NDL_OK);
    for (int i = 0; i < N_TEXTS; i++)
        CHECK(toy_generate(path, how, &t.requests[i], t.texts[c][m][i]) ==
              t.requests[i].max_new);
}

/* Lengths around a page of 256, of which several soon want a second one, and
 * what they share: nothing, all, a page and more. */
static void make_alike(void)
{
    static const int n[N_ALIKE] = { 250, 252, 254, 250, 300, 300, 300, 520 };
    static const int common[N_ALIKE] = { 0, 0, 0, 250, 0, 270, 300, 300 };
    for (int i = 0; i < N_ALIKE; i++) {
        int32_t *p = t.alike_prompts[i];
        toy_prompt(200 + (uint64_t)i, p, n[i]);
        memcpy(p, t.alike_prompts[i > 3 ? 4 : 0],
               (size_t)common[i] * sizeof *p);
        t.alike[i] = (ndl_request){ .prompt = p,
                                    .n_prompt = n[i],
                                    .max_new = MAX_NEW - i,
                                    .sampling = { .temperature = 0.9f,
                                                  .top_p = 0.95f,
                                                  .seed = 7 + (uint64_t)i } };
    }
}

static void find_alike(const char *path, int m)
{
    const toy_how how = { toys[m].kv_types, ndl_cpu_flags() };
    for (int i = 0; i < N_ALIKE; i++)
        CHECK(toy_generate(path, how, &t.alike[i], t.alike_texts[m][i]) ==
              t.alike[i].max_new);
}

static void find_truth(void)
{
    make_alike();
    toy_prompt(1, t.ids, N_LOGITS);
    for (int i = 0; i < N_TEXTS; i++) {
        const int n = 1 + (i * 37) % 80;
        toy_prompt(100 + (uint64_t)i, t.prompts[i], n);
        t.requests[i] = (ndl_request){
            .prompt = t.prompts[i],
            .n_prompt = n,
            .max_new = MAX_NEW - i % 3,
            .sampling = { .temperature = i % 4 == 3 ? 0.0f : 0.9f,
                          .top_k = i % 2 ? 40 : 0,
                          .top_p = 0.95f,
                          .min_p = i % 3 ? 0.02f : 0.0f },
        };
        t.requests[i].sampling.seed = ndl_request_seed(42, t.prompts[i], n);
    }
    for (int m = 0; m < N_TOYS; m++) {
        char path[300];
        path_of(path, toys[m].name);
        CHECK(toy_write(m, path) == NDL_OK);
        find_truth_of(path, m, BEST);
        find_alike(path, m);
        if (comm->size > 1 && !has_bf16(m)) continue;
        find_truth_of(path, m, REF);
        if (has_bf16(m)) continue;
        CHECK(memcmp(t.logits[BEST][m], t.logits[REF][m],
                     (size_t)N_LOGITS * (size_t)toy_vocab() * sizeof(float)) ==
              0);
        CHECK(memcmp(t.texts[BEST][m], t.texts[REF][m],
                     sizeof t.texts[BEST][m]) == 0);
    }
}

/* ---- the matrix ---- */

enum { MAX_SPLITS = 32 };
static char splits[MAX_SPLITS][32];
static int n_splits;

/* Every way to write `left` blocks as stages, up to `stages` of them, and each
 * with a head of its own behind. */
static void list_splits(char *at, int left, int stages)
{
    if (left == 0) {
        CHECK(n_splits + 2 <= MAX_SPLITS);
        strcpy(splits[n_splits], splits[MAX_SPLITS - 1]);
        splits[n_splits++][strlen(splits[MAX_SPLITS - 1]) - 1] = '\0';
        if (stages == 0) return;
        strcpy(splits[n_splits], splits[MAX_SPLITS - 1]);
        strcat(splits[n_splits++], "0");
        return;
    }
    for (int n = 1; stages > 0 && n <= left; n++) {
        sprintf(at, "%d,", n);
        list_splits(at + 2, left - n, stages - 1);
        *at = '\0';
    }
}

/* With fewer pages than are wanted, with enough, and with equal beginnings
 * computed once. */
static void check_pages(int m)
{
    /* A context takes three pages.  Whole prompts at a time: the first of them
     * are in before one has said its last, so that they want more pages than
     * there are, however fast the machine is. */
    const setting few = { .toy = m,
                          .cpu = "",
                          .rows = 256,
                          .threads = 1,
                          .slots = 5,
                          .pages = 5,
                          .groups = m % 4,
                          .stall_sec = INFINITY };
    setting all = few;
    all.pages = 0;
    all.stall_sec = 0;
    all.no_reuse = true;
    all.rank0_hosts = true;
    n_preemptions = n_hits = 0;
    check_alike(&few);
    CHECK(n_preemptions > 0 && n_hits > 0);
    n_hits = 0;
    check_alike(&all);
    CHECK(n_hits == 0);
    all.no_reuse = false;
    check_alike(&all);
    CHECK(n_hits > 0);
}

static void lead(void)
{
    static const int chunks[] = { 1, 7, 64, N_LOGITS };
    static const char *const cpus[] = { "", "ref" };
    const int hosts = comm->size > 1 ? comm->size - 1 : 1;
    CHECK(mkdtemp(folder) != NULL);
    find_truth();
    list_splits(splits[MAX_SPLITS - 1], TOY_BLOCKS, hosts);

    for (int s = 0; s < n_splits; s++)
        for (int c = 0; c < 4; c++)
            check_logits(&(setting){ .toy = TOY_LLAMA_F32,
                                     .split = splits[s],
                                     .cpu = "",
                                     .rows = chunks[c],
                                     .threads = 1,
                                     .slots = 1 });
    for (int m = 0; m < N_TOYS; m++)
        for (int threads = 1; threads <= 2; threads++)
            for (int cpu = 0; cpu < threads; cpu++) { /* ref is slow: once */
                const setting base = { .toy = m,
                                       .cpu = cpus[cpu],
                                       .rows = 64,
                                       .threads = threads,
                                       .slots = 1 };
                setting crowd = base;
                crowd.slots = 3 + threads;
                crowd.rows = cpu ? 128 : 16;
                check_logits(&base);
                check_texts(&crowd, 0, N_TEXTS);
            }
    for (int i = 0; i < N_TEXTS; i++)
        check_texts(&(setting){ .toy = i % N_TOYS,
                                .cpu = "",
                                .rows = 32,
                                .threads = 1,
                                .slots = 1 },
                    i, 1);
    /* A third of the models for each number of ranks. */
    for (int m = comm->size % 3; m < N_TOYS; m += 3) check_pages(m);
    printf("np %d: %d splits, %d sessions, all to the bit\n", comm->size,
           n_splits, n_sessions);
}

static void clean(void)
{
    char path[300];
    for (int m = 0; m < N_TOYS; m++) {
        path_of(path, toys[m].name);
        remove(path);
        for (int c = 0; c < N_CPUS; c++) free(t.logits[c][m]);
    }
    rmdir(folder);
}

static void follow(void)
{
    char cpu[8];
    for (;;) {
        CHECK(ndl_comm_bcast(comm, cpu, sizeof cpu) == NDL_OK);
        if (strcmp(cpu, "end") == 0) return;
        if (cpu[0])
            setenv("NDL_CPU", cpu, 1);
        else
            unsetenv("NDL_CPU");
        CHECK(ndl_session_follow(comm, &no_signal) == NDL_OK);
    }
}

int main(int argc, char **argv)
{
    mpi_check_init(&argc, &argv);
    ndl_fp_setup();
    CHECK(ndl_comm_open_mpi(&comm) == NDL_OK);
    if (comm->rank == 0) {
        lead();
        announce("end");
        clean();
    } else {
        follow();
    }
    ndl_comm_close(&comm);
    MPI_Finalize();
    return 0;
}
