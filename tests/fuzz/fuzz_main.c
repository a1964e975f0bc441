/*
 * fuzz_main.c - feeds a fuzz target without libFuzzer.
 *
 *   fuzz_NAME FILE...               run each file once (reproduce a crash)
 *   fuzz_NAME -seconds=N FOLDER     mutate the folder's files for N seconds
 *
 * The random seed is printed and NDL_TEST_SEED overrides it.  Before each run
 * the input is written to NAME.last in the current folder, so that the input
 * that kills the process is what is left there.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum {
    MAX_BYTES = 1 << 20, /* bytes; larger seeds are cut                 */
    MAX_SEEDS = 1024,
    MAX_SEC_PER_INPUT = 20 /* a slower input counts as a hang           */
};

typedef struct seed_file {
    uint8_t *bytes;
    size_t n;
} seed_file;

typedef struct corpus {
    seed_file seeds[MAX_SEEDS];
    int n;
} corpus;

static uint64_t rng_state;

/* splitmix64: any state is a good one. */
static uint64_t rng(void)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n ? (size_t)(rng() % n) : 0;
}

/* The target gets a block of exactly n bytes, so that a sanitizer sees a read
 * past the end; a hang ends in SIGALRM, which kills. */
static void run_one(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) exit(71);
    if (n) memcpy(exact, bytes, n);
    alarm(MAX_SEC_PER_INPUT);
    LLVMFuzzerTestOneInput(exact, n);
    alarm(0);
    free(exact);
}

static bool read_seed(seed_file *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    s->bytes = malloc(MAX_BYTES);
    if (!s->bytes) exit(71);
    s->n = fread(s->bytes, 1, MAX_BYTES, f);
    fclose(f);
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In name order, so that a seed number means the same run everywhere. */
static void read_corpus(corpus *c, const char *folder)
{
    struct dirent **names = NULL;
    const int n = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && c->n < MAX_SEEDS &&
            read_seed(&c->seeds[c->n], path))
            c->n++;
        free(names[i]);
    }
    free(names);
}

/* Replace [at, at + cut) of the input by n bytes. */
static void splice(seed_file *in, size_t at, size_t cut, const uint8_t *with,
                   size_t n)
{
    if (in->n - cut + n > MAX_BYTES) return;
    memmove(in->bytes + at + n, in->bytes + at + cut, in->n - at - cut);
    if (n) memmove(in->bytes + at, with, n);
    in->n = in->n - cut + n;
}

static void insert_number(seed_file *in, size_t at)
{
    static const char *const words[] = {
        "0",     "-1",   "2147483648", "18446744073709551616",
        "1e999", "null", "true",       "{}",
        "[]",    "\"\"", "\\ud800",    "\\u0000"
    };
    const char *w = words[below(sizeof words / sizeof *words)];
    splice(in, at, 0, (const uint8_t *)w, strlen(w));
}

/* Overwrite with a little-endian number near a power of two. */
static void put_power(seed_file *in, size_t at)
{
    const uint64_t v = (UINT64_C(1) << below(64)) + (rng() % 3) - 1;
    const size_t width = (size_t)1 << below(4);
    for (size_t i = 0; i < width && at + i < in->n; i++)
        in->bytes[at + i] = (uint8_t)(v >> (8 * i));
}

static void mutate(seed_file *in, const corpus *c)
{
    const size_t at = below(in->n + 1), left = in->n - at;
    const size_t len = below((left < 64 ? left : 64) + 1);
    const seed_file *other = &c->seeds[below((size_t)c->n)];
    const size_t from = below(other->n + 1), most = other->n - from;
    uint8_t copy[64];
    switch (below(8)) {
    case 0:
        if (left) in->bytes[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (left) in->bytes[at] = (uint8_t)rng();
        break;
    case 2: splice(in, at, len, NULL, 0); break;
    case 3: /* say a piece twice */
        memcpy(copy, in->bytes + at, len);
        splice(in, below(in->n + 1), 0, copy, len);
        break;
    case 4: put_power(in, at); break;
    case 5: insert_number(in, at); break;
    case 6: /* a piece of another seed */
        splice(in, at, len, other->bytes + from,
               below(most < 256 ? most : 256));
        break;
    default:
        if (below(8) == 0) in->n = at;
        break;
    }
}

static void keep(int fd, const seed_file *in)
{
    if (ftruncate(fd, 0) != 0 ||
        pwrite(fd, in->bytes, in->n, 0) != (ssize_t)in->n) {
        perror("cannot keep the input");
        exit(74);
    }
}

static int fuzz(const char *name, const char *folder, int seconds)
{
    static corpus c;
    char last[256];
    read_corpus(&c, folder);
    if (c.n == 0) {
        fprintf(stderr, "%s: no seeds in %s\n", name, folder);
        return 66;
    }
    snprintf(last, sizeof last, "%s.last", name);
    const int fd = open(last, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    seed_file in = { malloc(MAX_BYTES), 0 };
    if (fd < 0 || !in.bytes) {
        perror(last);
        return 71;
    }
    for (int i = 0; i < c.n; i++) run_one(c.seeds[i].bytes, c.seeds[i].n);
    uint64_t runs = 0;
    for (const time_t end = time(NULL) + seconds; time(NULL) < end; runs++) {
        const seed_file *s = &c.seeds[below((size_t)c.n)];
        memcpy(in.bytes, s->bytes, s->n);
        in.n = s->n;
        for (size_t i = below(8) + 1; i-- > 0;) mutate(&in, &c);
        keep(fd, &in);
        run_one(in.bytes, in.n);
    }
    printf("%s: %" PRIu64 " inputs from %d seeds\n", name, runs, c.n);
    close(fd);
    unlink(last);
    free(in.bytes);
    while (c.n > 0) free(c.seeds[--c.n].bytes);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    const char *fixed = getenv("NDL_TEST_SEED");
    rng_state = fixed ? strtoull(fixed, NULL, 0)
                      : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    if (argc == 3 && strncmp(argv[1], "-seconds=", 9) == 0) {
        printf("%s: NDL_TEST_SEED=%" PRIu64 "\n", name, rng_state);
        fflush(stdout);
        return fuzz(name, argv[2], atoi(argv[1] + 9));
    }
    for (int i = 1; i < argc; i++) {
        seed_file s = { NULL, 0 };
        if (!read_seed(&s, argv[i])) {
            perror(argv[i]);
            return 66;
        }
        printf("%s: %zu bytes\n", argv[i], s.n);
        fflush(stdout);
        run_one(s.bytes, s.n);
        free(s.bytes);
    }
    return argc > 1 ? 0 : 64;
}
