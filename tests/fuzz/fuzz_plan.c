/* fuzz_plan.c - plan files. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "noodle/plan.h"

/* What was accepted must be a plan, and be accepted again when it is written.
 */
static void check(const ndl_plan *p)
{
    char *text = NULL;
    size_t n = 0;
    ndl_plan again;
    int at = 0;
    NDL_ASSERT(p->n_stages > 0 && p->bottleneck < p->n_stages);
    NDL_ASSERT(p->stages[0].embed && p->stages[p->n_stages - 1].head);
    for (int i = 0; i < p->n_stages; i++) {
        NDL_ASSERT(p->stages[i].first_layer == at);
        at += p->stages[i].n_layers;
    }
    json_t *j = ndl_plan_json(p);
    NDL_ASSERT(j);
    char *json = json_dumps(j, 0);
    NDL_ASSERT(json);
    NDL_ASSERT(ndl_plan_parse(&again, json, strlen(json), "again") == NDL_OK);
    NDL_ASSERT(again.n_stages == p->n_stages);
    FILE *out = open_memstream(&text, &n);
    NDL_ASSERT(out);
    ndl_plan_draw(p, out, 80);
    ndl_plan_print(p, out);
    fclose(out);
    NDL_ASSERT(n > 0);
    free(text);
    free(json);
    json_decref(j);
    ndl_plan_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ndl_plan p;
    ndl_status_clear();
    if (ndl_plan_parse(&p, (const char *)data, size, "plan.json") != NDL_OK) {
        NDL_ASSERT(ndl_status_message()[0] != '\0');
        NDL_ASSERT(!strchr(ndl_status_message(), '\n'));
        return 0;
    }
    check(&p);
    ndl_plan_fini(&p);
    return 0;
}
