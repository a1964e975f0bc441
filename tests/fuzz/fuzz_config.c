/* fuzz_config.c - config.json, and a generation config behind a zero byte. */
#include <string.h>

#include "fuzz.h"
#include "noodle/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *zero = size ? memchr(text, 0, size) : NULL;
    const size_t n = zero ? (size_t)(zero - text) : size;
    const char *generation = zero ? zero + 1 : NULL;
    ndl_model m;
    ndl_status_clear();
    if (ndl_model_parse(&m, text, n, generation, zero ? size - n - 1 : 0,
                        "config.json") != NDL_OK) {
        NDL_ASSERT(ndl_status_message()[0] != '\0');
        NDL_ASSERT(!strchr(ndl_status_message(), '\n'));
        return 0;
    }
    /* What was accepted must be safe to compute with. */
    NDL_ASSERT(m.n_heads % m.n_kv_heads == 0 && m.head_dim % 2 == 0);
    NDL_ASSERT(m.n_eos >= 0 && m.n_eos <= NDL_MAX_EOS);
    NDL_ASSERT(m.norm_eps > 0 && m.bos < m.vocab);
    NDL_ASSERT(ndl_model_params(&m) > 0);
    NDL_ASSERT(ndl_model_rope_pair(&m) > 0);
    return 0;
}
