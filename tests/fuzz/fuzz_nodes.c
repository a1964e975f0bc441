/* fuzz_nodes.c - files of virtual nodes, YAML or JSON. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "noodle/cluster.h"

static const ndl_model model = { .arch = "llama",
                                 .n_layers = 4,
                                 .width = 256,
                                 .n_heads = 8,
                                 .n_kv_heads = 4,
                                 .head_dim = 32,
                                 .ffn = 512,
                                 .vocab = 1000,
                                 .context = 512,
                                 .mlp = NDL_MLP_SWIGLU,
                                 .bos = -1 };

/* What was accepted must be safe to plan with. */
static void check(const ndl_cluster *c)
{
    const ndl_work step = ndl_work_decode(1, 16, 1.0);
    NDL_ASSERT(c->n > 0 && ndl_cluster_size(c) <= NDL_CLUSTER_NODES);
    for (int i = 0; i < c->n; i++) {
        const ndl_node *node = &c->nodes[i];
        NDL_ASSERT(node->name[0] && node->count > 0 && node->rank == -1);
        NDL_ASSERT(node->memory_bytes > 0);
        NDL_ASSERT(node->memory_bytes <= UINT64_C(1) << 60);
        for (int k = 0; k < NDL_N_LAYER_KINDS; k++) {
            const double sec =
                ndl_cost_sec(&node->cost, (ndl_layer_kind)k, &step);
            NDL_ASSERT(isfinite(sec) && sec >= 0.0);
        }
    }
    for (int i = 0; i < c->n * c->n; i++)
        NDL_ASSERT(isfinite(ndl_link_sec(&c->links[i], 1e9)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ndl_cluster c;
    ndl_status_clear();
    if (ndl_cluster_parse(&c, (const char *)data, size, "nodes.yaml", &model,
                          ndl_mix_plain(NDL_BF16),
                          (ndl_kv_types){ NDL_BF16, NDL_BF16 },
                          NULL) != NDL_OK) {
        NDL_ASSERT(ndl_status_message()[0] != '\0');
        NDL_ASSERT(!strchr(ndl_status_message(), '\n'));
        return 0;
    }
    check(&c);
    ndl_cluster_fini(&c);
    return 0;
}
