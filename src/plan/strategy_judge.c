/* strategy_judge.c - strategy.h: what a plan that was made otherwise would
 * take. */
#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"
#include "noodle/strategy.h"
#include "strategy_report.h"

static int node_of(const ndl_cluster *c, int rank)
{
    for (int i = 0; i < c->n; i++)
        if (c->nodes[i].rank == rank) return i;
    return -1;
}

static ndl_status read_stages(const ndl_plan *plan, const ndl_cluster *c,
                              ndl_partition_stage *out)
{
    int first = 0;
    for (int i = 0; i < plan->n_stages; i++) {
        const ndl_plan_stage *s = &plan->stages[i];
        const int node = node_of(c, s->rank);
        if (node < 0)
            return NDL_FAIL(NDL_ECONFIG,
                            "stage %d is on rank %d, which was not measured: "
                            "measure again",
                            i + 1, s->rank);
        out[i] = (ndl_partition_stage){
            .type = node,
            .place = node,
            .first = first,
            .n = s->n_layers + s->embed + s->head,
        };
        first += out[i].n;
    }
    return NDL_OK;
}

ndl_status ndl_strategy_judge(ndl_plan *plan, const ndl_plan_costs *costs,
                              const ndl_cluster *cluster,
                              const ndl_workload *workload)
{
    const ndl_strategy_setup setup = { .strategy = NDL_STRATEGY_THROUGHPUT,
                                       .free_order = true };
    const ndl_strategy_task task = { &setup, costs, cluster, workload,
                                     ndl_clock_sec() };
    ndl_plan judged;
    ndl_solution s = { .n = plan->n_stages };
    ndl_status st = NDL_OK;
    s.stages = calloc((size_t)s.n, sizeof *s.stages);
    if (!s.stages) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    NDL_TRY_GOTO(done, st, read_stages(plan, cluster, s.stages));
    NDL_TRY_GOTO(done, st, ndl_strategy_report(&judged, &task, &s));
    memcpy(judged.strategy, plan->strategy, sizeof judged.strategy);
    judged.n_idle = plan->n_idle;
    ndl_plan_fini(plan);
    *plan = judged;
done:
    ndl_solution_fini(&s);
    return st;
}
