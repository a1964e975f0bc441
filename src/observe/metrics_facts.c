/*
 * metrics_facts.c - what is known at READY and does not change: the plan, the
 * options, the machine, and the job as the batch system describes it.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "metrics_parts.h"

extern char **environ; /* POSIX has it in no header */

enum {
    /* Of an attribute: a prompt given as an option would fill the header. */
    FACT_BYTES = 4096,
    NAME_BYTES = 128
};

void ndl_metrics_plan_rows(const ndl_plan *plan, ndl_metrics_stage *rows)
{
    for (int i = 0; i < plan->n_stages; i++) {
        const ndl_plan_stage *p = &plan->stages[i];
        rows[i] = (ndl_metrics_stage){
            .stage = i + 1,
            .rank = p->rank,
            .first_layer = p->first_layer,
            .n_layers = p->n_layers,
            .embed = p->embed,
            .head = p->head,
            .n_threads = p->n_threads,
            .params = p->params,
            .weight_bytes = (int64_t)p->weight_bytes,
            .kv_bytes = (int64_t)p->kv_bytes,
            .buffer_bytes = (int64_t)p->buffer_bytes,
            .free_bytes = (int64_t)p->free_bytes,
            .prompt_sec = p->prompt_sec,
            .decode_sec = p->decode_sec,
            .request_sec = p->busy_sec,
            .link_sec = p->link_sec,
        };
        memcpy(rows[i].host, p->host, sizeof rows[i].host);
    }
}

/* Texts are cut where a UTF-8 character begins. */
static ndl_status put_fact(ndl_store *s, const char *group, const char *name,
                           const char *text)
{
    char cut[FACT_BYTES];
    size_t n = strnlen(text, sizeof cut);
    if (n < sizeof cut) return ndl_store_put_text(s, group, name, text);
    while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80) n--;
    n -= n > 0;
    memcpy(cut, text, n);
    cut[n] = '\0';
    return ndl_store_put_text(s, group, name, cut);
}

static ndl_status put_facts(ndl_store *s, const char *group,
                            const ndl_metrics_fact *facts, int n)
{
    NDL_TRY(ndl_store_make_group(s, group));
    for (int i = 0; i < n; i++)
        NDL_TRY(put_fact(s, group, facts[i].name, facts[i].text));
    return NDL_OK;
}

/* Where and as what the job runs; nothing else of the environment is taken,
 * because it may hold secrets. */
static const char *const job_variables[] = {
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_NTASKS",
    "SLURM_TASKS_PER_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_CPUS_PER_NODE",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_ACCOUNT",
    "SLURM_CLUSTER_NAME",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURMD_NODENAME",
    "SLURM_TOPOLOGY_ADDR",
    "SLURM_TOPOLOGY_ADDR_PATTERN",
    "SLURM_RESTART_COUNT",
    "SLURM_SUBMIT_DIR",
    "SLURM_HET_SIZE",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "PMIX_RANK",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
};

/* In a heterogeneous job each group has its own, "NAME_HET_GROUP_0". */
static bool is_job_variable(const char *name)
{
    static const char group[] = "_HET_GROUP_";
    const char *tail = strstr(name, group);
    size_t n = strlen(name);
    if (tail) {
        const char *number = tail + sizeof group - 1;
        if (!*number || number[strspn(number, "0123456789")]) return false;
        n = (size_t)(tail - name);
    }
    for (size_t i = 0; i < sizeof job_variables / sizeof *job_variables; i++)
        if (strlen(job_variables[i]) == n &&
            memcmp(job_variables[i], name, n) == 0)
            return true;
    return false;
}

static ndl_status put_job(ndl_store *s)
{
    NDL_TRY(ndl_store_make_group(s, "/slurm"));
    for (char **e = environ; *e; e++) {
        char name[NAME_BYTES];
        const size_t n = strcspn(*e, "=");
        if (n >= sizeof name || (*e)[n] != '=') continue;
        memcpy(name, *e, n);
        name[n] = '\0';
        /* An environment may name a variable twice. */
        if (!is_job_variable(name) || ndl_store_has_attr(s, "/slurm", name))
            continue;
        NDL_TRY(put_fact(s, "/slurm", name, *e + n + 1));
    }
    return NDL_OK;
}

/* The figures of the whole; the stages are rows. */
static ndl_status put_plan(ndl_store *s, const ndl_plan *p)
{
    const ndl_workload *w = &p->workload;
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {
        { "n_stages", p->n_stages },           { "n_idle", p->n_idle },
        { "prompt_tokens", w->prompt_tokens }, { "new_tokens", w->new_tokens },
        { "sequences", w->sequences },         { "chunk_rows", w->chunk_rows },
        { "bottleneck", p->bottleneck },
    };
    const struct {
        const char *name;
        double value;
    } reals[] = {
        { "period_sec", p->period_sec },
        { "latency_sec", p->latency_sec },
        { "tokens_per_sec", p->tokens_per_sec },
        { "balance", p->balance },
        { "gap", p->gap },
    };
    NDL_TRY(put_fact(s, "/plan", "strategy", p->strategy));
    NDL_TRY(put_fact(s, "/plan", "source", p->source));
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        NDL_TRY(
            ndl_store_put_ints(s, "/plan", ints[i].name, &ints[i].value, 1));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        NDL_TRY(ndl_store_put_f64(s, "/plan", reals[i].name, reals[i].value));
    for (int i = 0; i < p->n_notes; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "note_%d", i + 1);
        NDL_TRY(put_fact(s, "/plan", name, p->notes[i]));
    }
    return NDL_OK;
}

static ndl_status put_reasons(ndl_store *s, const ndl_plan *p)
{
    for (int i = 0; i < p->n_stages; i++) {
        char name[NAME_BYTES];
        if (!*p->stages[i].why) continue;
        snprintf(name, sizeof name, "why_%d", i + 1);
        NDL_TRY(put_fact(s, "/plan", name, p->stages[i].why));
    }
    return NDL_OK;
}

ndl_status ndl_metrics_put_facts(ndl_store *s, const ndl_metrics_setup *setup)
{
    NDL_TRY(ndl_store_put_stamp(s, "metrics", NDL_METRICS_VERSION_MAJOR,
                                NDL_METRICS_VERSION_MINOR));
    NDL_TRY(ndl_store_put_text(s, "/", "clock",
                               "seconds since all stages were ready, which "
                               "is when the file was created"));
    NDL_TRY(put_plan(s, setup->plan));
    NDL_TRY(put_reasons(s, setup->plan));
    NDL_TRY(put_facts(s, "/config", setup->config, setup->n_config));
    NDL_TRY(put_facts(s, "/system", setup->system, setup->n_system));
    return put_job(s);
}
