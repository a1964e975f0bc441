/* fuzz_request_line.c - lines of a file of requests. */
#include <stdlib.h>
#include <string.h>

#include "../../src/cli/request_line.h"
#include "fuzz.h"

static const ndl_options options = {
    .predict = 128, .temperature = 0.8, .top_k = 40, .top_p = 0.95
};

/* What was accepted must be safe to run. */
static void check(const ndl_request_line *x)
{
    const ndl_sampling *s = &x->sampling;
    NDL_ASSERT((x->text != NULL) != (x->ids != NULL));
    NDL_ASSERT(x->n_ids >= 0);
    for (int i = 0; i < x->n_ids; i++) NDL_ASSERT(x->ids[i] >= 0);
    NDL_ASSERT(x->max_new >= 0 && x->max_new <= 1 << 24);
    NDL_ASSERT(s->temperature >= 0.0f && s->temperature <= 100.0f);
    NDL_ASSERT(s->top_p >= 0.0f && s->top_p <= 1.0f);
    NDL_ASSERT(s->min_p >= 0.0f && s->min_p <= 1.0f);
    NDL_ASSERT(s->top_k >= 0 && s->top_k <= 1 << 24);
    NDL_ASSERT(x->n_top >= 0 && x->n_top <= NDL_TOP);
    NDL_ASSERT(x->n_top == 0 || x->want_log_p);
    NDL_ASSERT(x->n_stops >= 0 && x->n_stops <= NDL_REQUEST_STOPS);
    for (int i = 0; i < x->n_stops; i++) {
        const size_t n = strlen(x->stops[i]);
        NDL_ASSERT(n > 0 && n <= NDL_REQUEST_STOP_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ndl_request_line x;
    ndl_status_clear();
    if (ndl_request_line_parse(&x, (const char *)data, size, 1, &options) !=
        NDL_OK)
        exit(71); /* nothing but memory may be short */
    NDL_ASSERT(ndl_status_message()[0] == '\0');
    NDL_ASSERT(x.custom_id[0] != '\0');
    NDL_ASSERT(strlen(x.custom_id) <= NDL_REQUEST_ID_BYTES);
    if (x.error)
        NDL_ASSERT(strlen(x.error) > 8 && !strchr(x.error, '\n'));
    else
        check(&x);
    ndl_request_line_fini(&x);
    return 0;
}
