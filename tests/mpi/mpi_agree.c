/* mpi_agree.c - the setup collectives. */
#include <stdlib.h>
#include <string.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/comm.h"

static void agree_of_all_ok_is_ok(ndl_comm *c)
{
    for (int i = 0; i < 20; i++) CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    CHECK(ndl_status_message()[0] == '\0');
}

/* The ranks from `first` on fail, each with its own status. */
static void agree_gives_all_the_status_of_the_lowest_failing_rank(ndl_comm *c)
{
    static const ndl_status codes[] = { NDL_EDATA, NDL_ENOINPUT, NDL_EUNAVAIL,
                                        NDL_EOS, NDL_EIO };
    for (int first = 0; first < c->size; first++) {
        ndl_status mine = NDL_OK;
        char want[64], *host;
        if (c->rank >= first)
            mine = NDL_FAIL(codes[c->rank % 5], "disk %d is on fire", c->rank);
        CHECK(ndl_comm_agree(c, mine) == codes[first % 5]);

        const char *text = ndl_status_message();
        snprintf(want, sizeof want, "disk %d is on fire", first);
        if (c->rank != 0) {
            CHECK(text[0] == '\0');
        } else if (first == 0) {
            CHECK(strcmp(text, want) == 0);
        } else {
            char name[MPI_MAX_PROCESSOR_NAME], front[400];
            int n = 0;
            MPI_Get_processor_name(name, &n);
            snprintf(front, sizeof front, "rank %d on %s: ", first, name);
            CHECK((host = strstr(text, front)) == text);
            CHECK(strcmp(host + strlen(front), want) == 0);
        }
        ndl_status_clear();
    }
}

static void agree_of_a_failure_without_words_finds_some(ndl_comm *c)
{
    const int last = c->size - 1;
    const ndl_status mine = c->rank == last ? NDL_EIO : NDL_OK;
    CHECK(ndl_comm_agree(c, mine) == NDL_EIO);
    if (c->rank == 0)
        CHECK(strstr(ndl_status_message(), ndl_status_text(NDL_EIO)));
    ndl_status_clear();
}

static void agree_waits_without_using_the_processor(ndl_comm *c)
{
    const double wall = ndl_clock_sec(), cpu = ndl_clock_cpu_sec();
    if (c->rank == 0) ndl_clock_sleep(1.0);
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    const double share = (ndl_clock_cpu_sec() - cpu) / (ndl_clock_sec() - wall);
    if (c->rank == c->size - 1)
        printf("agree: waiting took %.2f %% of a core\n", 100.0 * share);
    CHECK(share < 0.05);
}

static void bcast_brings_the_bytes_of_rank_0(ndl_comm *c)
{
    static const size_t sizes[] = { 0, 1, 1000, 4096, 100000, 3000000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *buf = malloc(sizes[i] + 1);
        CHECK(buf);
        for (size_t k = 0; k < sizes[i]; k++)
            buf[k] = c->rank == 0 ? (unsigned char)(k * 7 + i) : 0xee;
        buf[sizes[i]] = 0x55;
        CHECK(ndl_comm_bcast(c, buf, sizes[i]) == NDL_OK);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK(buf[k] == (unsigned char)(k * 7 + i));
        CHECK(buf[sizes[i]] == 0x55);
        free(buf);
    }
}

static void gather_brings_all_in_rank_order(ndl_comm *c)
{
    int mine[50], *all = NULL;
    for (int k = 0; k < 50; k++) mine[k] = 1000 * c->rank + k;
    if (c->rank == 0) {
        all = malloc((size_t)c->size * sizeof mine);
        CHECK(all);
    }
    CHECK(ndl_comm_gather(c, mine, sizeof mine, all) == NDL_OK);
    CHECK(ndl_comm_gather(c, NULL, 0, NULL) == NDL_OK);
    for (int k = 0; all && k < 50 * c->size; k++)
        CHECK(all[k] == 1000 * (k / 50) + k % 50);
    free(all);
}

static void library_has_a_short_name(void)
{
    const char *name = ndl_comm_library();
    CHECK(strlen(name) > 4 && strlen(name) < 40);
    CHECK(!strpbrk(name, ",\n\t"));
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    /* Twice: what is closed can be opened again. */
    for (int i = 0; i < 2; i++) {
        CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
        CHECK(c->node >= 0 && c->node <= c->rank);
        agree_of_all_ok_is_ok(c);
        agree_gives_all_the_status_of_the_lowest_failing_rank(c);
        agree_of_a_failure_without_words_finds_some(c);
        bcast_brings_the_bytes_of_rank_0(c);
        gather_brings_all_in_rank_order(c);
        if (i == 0) agree_waits_without_using_the_processor(c);
        if (c->rank == 0 && i == 0) printf("%s\n", ndl_comm_library());
        ndl_comm_close(&c);
        CHECK(c == NULL);
        ndl_comm_close(&c);
    }
    library_has_a_short_name();
    MPI_Finalize();
    return 0;
}
