/*
 * bench_kernels.c - every kernel at shapes of real models on one core, as CSV,
 * each held against the peak that it is nearer to, measured between its
 * samples.  What is measured how: bench_case.h.
 */
#include <unistd.h>

#include "bench_case.h"
#include "bench_util.h"

static const char usage[] =
    "usage: bench_kernels [OPTIONS]\n"
    "  --version V      kernels of this level: ref, avx2, avx512, vnni, bf16\n"
    "  --only NAME      kernels with this in their name: matmul_int8, attend\n"
    "  --model NAME     in-l2, gpt2-124m, tinyllama-1.1b, llama-3.2-1b; "
    "head-64\n"
    "                   and head-128 for attention\n"
    "  --matrix NAME    qkv, out, up, down, head; rows, page, embedding\n"
    "  --rows N,N       rows of activations, 1 to 512, instead of each one's "
    "own\n"
    "  --budget SEC     of a case (0.1)\n"
    "  --quick          rows 1, 16, 512, tinyllama-1.1b and head-64, 0.03 s\n"
    "  --date D, --commit C   written into the head\n"
    "Columns: gops and gbytes_sec are of the median sample; peak is the limit\n"
    "that the case is nearer to, peak_percent median against median of the\n"
    "limit's samples around the case, best_percent best against best;\n"
    "arithmetic_percent and read_percent hold the median against either.\n";

typedef struct options {
    const char *version, *date, *commit;
    ndl_bench_choice choice;
    bool quick, help;
} options;

/* ---- where the numbers come from ---- */

/* The first line of a file of cpu0's cache, "" where there is none. */
static void read_cache(char *line, int size, int index, const char *what)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s",
             index, what);
    FILE *f = fopen(path, "r");
    line[0] = '\0';
    if (!f) return;
    if (!fgets(line, size, f)) line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    fclose(f);
}

static void print_caches(void)
{
    char level[16], type[32], size[32], sharing[64];
    printf("# caches:");
    for (int i = 0; i < 8; i++) {
        read_cache(level, sizeof level, i, "level");
        read_cache(type, sizeof type, i, "type");
        read_cache(size, sizeof size, i, "size");
        read_cache(sharing, sizeof sharing, i, "shared_cpu_list");
        if (level[0] == '\0') break;
        printf("%s L%s %s %s of cpu %s", i ? "," : "", level, type, size,
               sharing);
    }
    printf("\n");
}

static void print_load(const char *when)
{
    double load[3];
    if (getloadavg(load, 3) != 3) return;
    printf("# load_average_%s: %.2f %.2f %.2f\n", when, load[0], load[1],
           load[2]);
}

static void print_date(const char *given)
{
    char text[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    printf("# date: %s\n", given ? given : text);
}

static void print_head(const ndl_bench *b, const options *o)
{
    printf("# bench: kernels\n");
    bench_cpuinfo("model name");
    printf("# cores: %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    print_caches();
    bench_cpuinfo("flags");
    print_date(o->date);
    printf("# commit: %s\n", o->commit);
    printf("# compiler: %s\n", __VERSION__);
    printf("# compiler_flags: %s\n", NDL_BENCH_FLAGS);
    print_load("begin");
    printf("# clock: processor time of the thread\n");
    for (int i = 0; i < NDL_LIMITS; i++)
        printf("# peak_%s: %.1f %s\n", ndl_limit_name((ndl_limit)i),
               ndl_bench_limits_median(&b->limits, (ndl_limit)i) * 1e-9,
               i == NDL_LIMIT_READ ? "GB/s" : "Gop/s");
}

/* ---- options ---- */

static bool parse_rows(ndl_bench_choice *c, const char *text)
{
    for (c->n_rows = 0; c->n_rows < NDL_CASE_CHOICES; text++) {
        char *end = NULL;
        const long rows = strtol(text, &end, 10);
        if (end == text || rows < 1 || rows > NDL_CASE_ROWS) return false;
        c->rows[c->n_rows++] = (int)rows;
        if (*end == '\0') return true;
        if (*end != ',') return false;
        text = end;
    }
    return false;
}

static bool parse_budget(ndl_bench_choice *c, const char *text)
{
    char *end = NULL;
    c->budget_sec = strtod(text, &end);
    return end != text && *end == '\0' && c->budget_sec > 0 &&
           c->budget_sec < 3600;
}

static bool parse_pair(options *o, const char *name, const char *value)
{
    ndl_bench_choice *c = &o->choice;
    if (strcmp(name, "--rows") == 0) return parse_rows(c, value);
    if (strcmp(name, "--budget") == 0) return parse_budget(c, value);
    const struct {
        const char *name, **to;
    } texts[] = {
        { "--version", &o->version }, { "--date", &o->date },
        { "--commit", &o->commit },   { "--only", &c->only },
        { "--model", &c->model },     { "--matrix", &c->matrix },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) != 0) continue;
        *texts[i].to = value;
        return true;
    }
    return false;
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            o->quick = true;
        else if (strcmp(argv[i], "--help") == 0)
            o->help = true;
        else if (i + 1 == argc || !parse_pair(o, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return true;
}

/* What was asked for by name stays. */
static void make_quick(ndl_bench_choice *c)
{
    if (c->n_rows == 0) parse_rows(c, "1,16,512");
    if (c->budget_sec == 0) c->budget_sec = 0.03;
    if (!c->model) c->is_short = true;
}

/* ---- all of them ---- */

static int run(const options *o, unsigned flags)
{
    static ndl_bench b;
    ndl_kernels_init(&b.k, flags);
    ndl_bench_init(&b, &o->choice);
    print_head(&b, o);
    ndl_case_print_columns();
    ndl_bench_products(&b);
    ndl_bench_attention(&b);
    ndl_bench_small(&b);
    print_load("end");
    return 0;
}

int main(int argc, char **argv)
{
    options o = { .commit = NDL_COMMIT };
    unsigned flags = ndl_cpu_flags();
    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 64;
    }
    if (o.help) return fputs(usage, stdout) < 0;
    if (o.quick) make_quick(&o.choice);
    if (o.choice.budget_sec == 0) o.choice.budget_sec = 0.1;
    if (o.version) {
        const int wanted = ndl_cpu_parse(o.version);
        if (wanted < 0 || ((unsigned)wanted & ~flags)) {
            fprintf(stderr, "bench_kernels: no version %s here\n", o.version);
            return 69;
        }
        flags = (unsigned)wanted;
    }
    return run(&o, flags);
}
