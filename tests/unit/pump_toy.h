/*
 * pump_toy.h - the fixture of tests of pumps that go wrong: a toy model in a
 * folder of its own, four requests, and a world to run them in; include
 * cmocka.h first.
 */
#ifndef NOODLE_TESTS_PUMP_TOY_H
#define NOODLE_TESTS_PUMP_TOY_H

#include <stdio.h>
#include <string.h>

#include "folder.h"
#include "kernels.h"
#include "pump_world.h"

enum { N_SLOTS = 3, MAX_ROWS = 8, CONTEXT = 32 };

static test_folder folder;
static char path[320];
static int32_t prompt[40];
static ndl_request requests[4];
static world w;

static inline int make_toy(void **state)
{
    (void)state;
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "toy.h5"));
    assert_int_equal(toy_write(TOY_LLAMA_F32, path), NDL_OK);
    toy_prompt(1, prompt, 40);
    for (int i = 0; i < 4; i++)
        requests[i] = (ndl_request){ .prompt = prompt + i,
                                     .n_prompt = 5 + 7 * i,
                                     .max_new = 6,
                                     .sampling = { .seed = 3 } };
    return 0;
}

static inline int remove_toy(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static inline world_setup setup_of(int n_stages)
{
    world_setup s = { .weights = path,
                      .n_stages = n_stages,
                      .n_slots = N_SLOTS,
                      .max_rows = MAX_ROWS,
                      .context = CONTEXT,
                      .n_threads = 1,
                      .cpu_flags = ndl_cpu_flags(),
                      .latency_sec = 1e-4,
                      .compute_sec = 1e-3,
                      .eager_bytes = 4096,
                      .requests = requests,
                      .n_requests = 4 };
    for (int i = 0; i < n_stages; i++) s.blocks[i] = TOY_BLOCKS / n_stages;
    s.blocks[0] += TOY_BLOCKS % n_stages;
    return s;
}

static inline void assert_says(const char *text)
{
    if (!strstr(ndl_status_message(), text))
        fail_msg("\"%s\" is not in: %s", text, ndl_status_message());
}

#endif /* NOODLE_TESTS_PUMP_TOY_H */
