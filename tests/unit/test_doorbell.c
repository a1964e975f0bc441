/* test_doorbell.c - bells between threads, and the name of the library. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/comm/comm_name.h"
#include "../../src/comm/doorbell.h"
#include "noodle/clock.h"

static void sleeper_is_woken_by_a_ring_before_it_slept(void **state)
{
    (void)state;
    ndl_bell b;
    ndl_bell_init(&b);
    const uint32_t heard = ndl_bell_count(&b);
    ndl_bell_ring(&b);
    const double start = ndl_clock_sec();
    ndl_bell_sleep(&b, heard, 100.0);
    assert_true(ndl_clock_sec() - start < 10.0);
    assert_int_equal(ndl_bell_count(&b), heard + 1);
}

static void sleeper_gives_up_after_max_sec(void **state)
{
    (void)state;
    ndl_bell b;
    ndl_bell_init(&b);
    const double start = ndl_clock_sec(), cpu = ndl_clock_cpu_sec();
    ndl_bell_sleep(&b, 0, 0.2);
    assert_true(ndl_clock_sec() - start > 0.19);
    assert_true(ndl_clock_cpu_sec() - cpu < 0.1);
    ndl_bell_sleep(&b, 0, 0.0);
    ndl_bell_sleep(&b, 0, -1.0);
}

static void spinner_stops_at_the_ring_or_the_end(void **state)
{
    (void)state;
    ndl_bell b;
    ndl_bell_init(&b);
    const double start = ndl_clock_sec();
    ndl_bell_spin(&b, 0, start + 0.02);
    assert_true(ndl_clock_sec() >= start + 0.02);
    ndl_bell_ring(&b);
    ndl_bell_spin(&b, 0, start + 1000.0);
}

typedef struct pair {
    ndl_bell bell[2];
    _Atomic int ball; /* whose turn it is */
} pair;

enum { N_TURNS = 20000 };

static void play(pair *p, int me)
{
    uint32_t heard = 0;
    for (int i = 0; i < N_TURNS; i++) {
        while (atomic_load(&p->ball) != me) {
            const uint32_t now = ndl_bell_count(&p->bell[me]);
            /* A wake-up that got lost would never be found. */
            if (now == heard) ndl_bell_sleep(&p->bell[me], heard, 1000.0);
            heard = now;
        }
        atomic_store(&p->ball, 1 - me);
        ndl_bell_ring(&p->bell[1 - me]);
    }
}

static void *other_player(void *p)
{
    play(p, 1);
    return NULL;
}

static void no_wake_up_is_lost_between_two_sleepers(void **state)
{
    (void)state;
    static pair p;
    pthread_t thread;
    ndl_bell_init(&p.bell[0]);
    ndl_bell_init(&p.bell[1]);
    assert_int_equal(pthread_create(&thread, NULL, other_player, &p), 0);
    play(&p, 0);
    pthread_join(thread, NULL);
    assert_int_equal(ndl_bell_count(&p.bell[0]), N_TURNS);
}

static void library_is_named_by_product_and_number(void **state)
{
    (void)state;
    char name[32], small[5];
    ndl_comm_name_library(name, sizeof name,
                          "Open MPI v4.1.4, package: Debian, ident: 4.1.4");
    assert_string_equal(name, "Open MPI 4.1.4");
    ndl_comm_name_library(name, sizeof name,
                          "MPICH Version:\t4.0.2\nMPICH Release date:\t...");
    assert_string_equal(name, "MPICH 4.0.2");
    ndl_comm_name_library(small, sizeof small, "Intel(R) MPI Library 2021.5");
    assert_string_equal(small, "Inte");
    ndl_comm_name_library(name, sizeof name, "");
    assert_string_equal(name, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeper_is_woken_by_a_ring_before_it_slept),
        cmocka_unit_test(sleeper_gives_up_after_max_sec),
        cmocka_unit_test(spinner_stops_at_the_ring_or_the_end),
        cmocka_unit_test(no_wake_up_is_lost_between_two_sleepers),
        cmocka_unit_test(library_is_named_by_product_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
