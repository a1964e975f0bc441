/* synth.c - a weights file of a named shape, out of nothing but a seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assemble.h"
#include "byte_tokenizer.h"
#include "noodle/checkpoint.h"
#include "random_weights.h"

static ndl_status make_tokenizer(ndl_tokenizer **out)
{
    char *text = ndl_byte_tokenizer();
    if (!text) return NDL_FAIL(NDL_EOS, "tokenizer: out of memory");
    const ndl_status st =
        ndl_tokenizer_parse(out, text, strlen(text), "plain bytes");
    free(text);
    return st;
}

static ndl_status fail_unknown(const char *shape)
{
    char known[256] = "";
    size_t at = 0;
    for (int i = 0; ndl_checkpoint_shape_name(i) && at < sizeof known; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s",
                               i ? ", " : "", ndl_checkpoint_shape_name(i));
    return NDL_FAIL(NDL_EUSAGE, "shape \"%.60s\" is not known: %s", shape,
                    known);
}

ndl_status ndl_checkpoint_synth(const char *shape, const char *out, ndl_mix mix,
                                const char *tokenizer, uint64_t seed,
                                ndl_progress_fn progress, void *arg)
{
    const char *config = ndl_checkpoint_shape_config(shape);
    ndl_random_weights w = { .seed = seed };
    ndl_tokenizer *t = NULL;
    ndl_source source;
    if (!config) return fail_unknown(shape);
    NDL_TRY(ndl_model_parse(&w.model, config, strlen(config), NULL, 0, shape));
    NDL_TRY(tokenizer ? ndl_assemble_tokenizer(&t, tokenizer, w.model.vocab)
                      : make_tokenizer(&t));
    ndl_random_weights_source(&w, &source);
    const ndl_pack_meta meta = { .source = shape,
                                 .config = config,
                                 .progress = progress,
                                 .progress_arg = arg };
    const ndl_assembly a = { .model = &w.model,
                             .mix = mix,
                             .source = &source,
                             .meta = &meta,
                             .tokenizer = t };
    const ndl_status st = ndl_assemble(out, &a);
    ndl_tokenizer_destroy(&t);
    return st;
}
