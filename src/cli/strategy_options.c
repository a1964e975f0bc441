/* strategy_options.c - see strategy_options.h. */
#include "strategy_options.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/units.h"

static bool parse_number(const char *text, int most, int *out)
{
    if (text[0] == '\0' || strlen(text) > 9 ||
        text[strspn(text, "0123456789")] != '\0')
        return false;
    const int v = atoi(text);
    if (v > most) return false;
    *out = v;
    return true;
}

/* Blocks are counted from 0, as everywhere; behind the embedding. */
static bool parse_layer(const char *text, int n_blocks, int *out)
{
    int block = 0;
    if (strcmp(text, "embed") == 0)
        *out = 0;
    else if (strcmp(text, "head") == 0)
        *out = n_blocks + 1;
    else if (parse_number(text, n_blocks - 1, &block))
        *out = block + 1;
    else
        return false;
    return true;
}

/* A virtual node goes by its name; a measured one by its rank, because a host
 * may have several. */
static bool parse_node(const char *text, const ndl_cluster *c, int *out)
{
    int rank = -1;
    (void)parse_number(text, 1 << 24, &rank);
    for (int i = 0; i < c->n; i++) {
        const ndl_node *node = &c->nodes[i];
        if (node->rank >= 0 ? node->rank != rank : strcmp(node->name, text))
            continue;
        *out = i;
        return true;
    }
    return false;
}

static ndl_status add_pin(ndl_strategy_options *s,
                          const ndl_strategy_context *x, char *text)
{
    ndl_pin pin = { 0, 0 };
    char *equals = strchr(text, '=');
    if (!equals)
        return NDL_FAIL(NDL_EUSAGE,
                        "--pin %.100s: not a layer and a node: write it like "
                        "head=%s",
                        text, x->cluster->nodes[0].name);
    *equals = '\0';
    if (!parse_layer(text, x->n_blocks, &pin.layer))
        return NDL_FAIL(NDL_EUSAGE,
                        "--pin %.100s=%.100s: no such layer: give embed, head, "
                        "or a block from 0 to %d",
                        text, equals + 1, x->n_blocks - 1);
    if (!parse_node(equals + 1, x->cluster, &pin.node))
        return NDL_FAIL(NDL_EUSAGE, "--pin %.100s=%.100s: no such %s", text,
                        equals + 1,
                        x->cluster->nodes[0].rank >= 0
                            ? "rank in the profile: give the number of one"
                            : "node: give a name from the file of nodes");
    if (s->setup.n_pins == NDL_STRATEGY_PINS)
        return NDL_FAIL(NDL_EUSAGE, "--pin: more than %d pins: give fewer",
                        NDL_STRATEGY_PINS);
    s->pins[s->setup.n_pins++] = pin;
    return NDL_OK;
}

static ndl_status read_pins(ndl_strategy_options *s, const ndl_options *o,
                            const ndl_strategy_context *x)
{
    s->setup.pins = s->pins;
    for (int i = 0; i < o->pin.n; i++) {
        char *copy = strdup(o->pin.at[i]), *rest = copy;
        ndl_status st = copy ? NDL_OK : NDL_FAIL(NDL_EOS, "out of memory");
        while (st == NDL_OK && rest) {
            char *one = rest;
            rest = strchr(rest, ',');
            if (rest) *rest++ = '\0';
            st = add_pin(s, x, one);
        }
        free(copy);
        NDL_TRY(st);
    }
    return NDL_OK;
}

static ndl_status read_order(const ndl_options *o, bool *is_free)
{
    if (!o->order) return NDL_OK;
    *is_free = strcmp(o->order, "free") == 0;
    if (*is_free || strcmp(o->order, "fixed") == 0) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "--order %s: give fixed or free", o->order);
}

static ndl_status unknown_strategy(const char *name)
{
    char names[256] = "";
    for (int i = 0; i < NDL_N_STRATEGIES; i++) {
        const size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                 ndl_strategy_name((ndl_strategy)i));
    }
    return NDL_FAIL(NDL_EUSAGE, "--strategy %s: give one of %s", name, names);
}

ndl_status ndl_strategy_options_read(ndl_strategy_options *all,
                                     const ndl_options *o,
                                     const ndl_strategy_context *context)
{
    ndl_strategy_setup *s = &all->setup;
    s->free_order = context->is_free;
    s->strategy = NDL_STRATEGY_THROUGHPUT;
    if (o->strategy && !ndl_strategy_parse(o->strategy, &s->strategy))
        return unknown_strategy(o->strategy);
    NDL_TRY(read_order(o, &s->free_order));
    s->min_stages = o->min_stages;
    s->max_stages = o->max_stages;
    if (s->max_stages > 0 && s->min_stages > s->max_stages)
        return NDL_FAIL(NDL_EUSAGE,
                        "--min-stages %d: is more than --max-stages %d: give "
                        "at most that",
                        s->min_stages, s->max_stages);
    if (o->stage_limit &&
        (!ndl_units_parse(o->stage_limit, NDL_UNIT_SEC, &s->stage_sec) ||
         s->stage_sec <= 0.0))
        return NDL_FAIL(NDL_EUSAGE,
                        "--stage-limit %s: give a time above 0, like 20ms",
                        o->stage_limit);
    return read_pins(all, o, context);
}
