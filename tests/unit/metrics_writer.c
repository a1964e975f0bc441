/*
 * metrics_writer.c - a process that writes metrics as it is told on stdin, so
 * that its test can read beside it and kill it.
 *
 *   s N            append N steps, a layer row and a request for each ten
 *   f NOW EVERY    flush
 *   r N            for ever: append N steps, flush, say how many steps there
 *                  are
 *   c              close and end
 *
 * Every command is answered by a line.
 */
#include <stdlib.h>

#include "../support/metrics_kit.h"

static int64_t n_steps;

static ndl_status append(ndl_metrics *m, int n)
{
    for (int i = 0; i < n; i++, n_steps++) {
        const ndl_metrics_step step = kit_step(n_steps);
        NDL_TRY(ndl_metrics_steps(m, &step, 1));
        if (n_steps % 10 != 0) continue;
        const ndl_metrics_layer layer = kit_layer(n_steps / 10);
        const ndl_metrics_request request = kit_request(n_steps / 10);
        NDL_TRY(ndl_metrics_layers(m, &layer, 1));
        NDL_TRY(ndl_metrics_finish(m, &request));
    }
    return NDL_OK;
}

static ndl_status append_for_ever(ndl_metrics *m, int n)
{
    for (;;) {
        NDL_TRY(append(m, n));
        NDL_TRY(ndl_metrics_flush(m, 0, 0));
        printf("%lld\n", (long long)n_steps);
        fflush(stdout);
    }
}

static ndl_status obey(ndl_metrics **m, const char *line)
{
    double now = 0, every = 0;
    int n = 0;
    if (sscanf(line, "s %d", &n) == 1) return append(*m, n);
    if (sscanf(line, "r %d", &n) == 1) return append_for_ever(*m, n);
    if (sscanf(line, "f %lf %lf", &now, &every) == 2)
        return ndl_metrics_flush(*m, now, every);
    return ndl_metrics_close(m);
}

int main(int argc, char **argv)
{
    const ndl_metrics_fact config[] = { { "threads", "2" } };
    ndl_metrics *m = NULL;
    char line[64];
    ndl_status st = argc == 2 ? kit_create(&m, argv[1], config, 1) : NDL_EUSAGE;
    while (st == NDL_OK && m && fgets(line, sizeof line, stdin)) {
        st = obey(&m, line);
        printf("%lld\n", (long long)n_steps);
        fflush(stdout);
    }
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    (void)ndl_metrics_close(&m);
    return -st;
}
