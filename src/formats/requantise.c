/* requantise.c - see noodle/requantise.h. */
#include "noodle/requantise.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "assemble.h"
#include "chat_template.h"
#include "noodle/tokenizer.h"
#include "noodle/weights.h"
#include "weights_source.h"

/* A conversion in progress. */
typedef struct job {
    const char *in, *out;
    ndl_weights_source *weights;
    ndl_store *store; /* of the weights */
    ndl_tokenizer *tokenizer;
    char *chat_template, *config, *generation, *source;
} job;

/* Also by another name: the file would be read while it is replaced. */
static ndl_status check_apart(const job *j)
{
    struct stat in, out;
    if (stat(j->in, &in) != 0 || stat(j->out, &out) != 0) return NDL_OK;
    if (in.st_dev != out.st_dev || in.st_ino != out.st_ino) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE,
                    "%s: is the file to read: name another file to write",
                    j->out);
}

static ndl_status check_mix(const job *j)
{
    const ndl_mix mix = ndl_weights_source_mix(j->weights);
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (mix.of[g] == NDL_INT4)
            return NDL_FAIL(NDL_EDATA,
                            "%s: has weights of int4 already: quantise the "
                            "file it was made from",
                            j->in);
    return NDL_OK;
}

static ndl_status read_tokenizer(job *j)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_tokenizer_json(j->store, &text, &n));
    const ndl_status st = ndl_tokenizer_parse(&j->tokenizer, text, n, j->in);
    free(text);
    return st;
}

static ndl_status read_optional(const job *j, const char *attr, char **out)
{
    if (!ndl_store_has_attr(j->store, "/", attr)) return NDL_OK;
    return ndl_store_get_text(j->store, "/", attr, out);
}

/* What is damaged would get new checksums: it is found before. */
static ndl_status read_all(job *j, ndl_progress_fn progress, void *arg)
{
    NDL_TRY(check_apart(j));
    NDL_TRY(ndl_weights_source_open(&j->weights, j->in));
    j->store = ndl_weights_source_store(j->weights);
    NDL_TRY(check_mix(j));
    NDL_TRY(ndl_weights_check(j->in, progress, arg));
    NDL_TRY(read_tokenizer(j));
    NDL_TRY(ndl_chat_template_read(j->store, j->in, &j->chat_template));
    NDL_TRY(ndl_store_get_text(j->store, "/", "config", &j->config));
    NDL_TRY(read_optional(j, "generation_config", &j->generation));
    return read_optional(j, "source", &j->source);
}

static void fini(job *j)
{
    free(j->source);
    free(j->generation);
    free(j->config);
    free(j->chat_template);
    ndl_tokenizer_destroy(&j->tokenizer);
    ndl_weights_source_close(&j->weights);
}

ndl_status ndl_requantise(const char *in, const char *out, ndl_mix mix,
                          ndl_progress_fn progress, void *arg)
{
    job j = { .in = in, .out = out };
    ndl_source source;
    ndl_status st = read_all(&j, progress, arg);
    if (st == NDL_OK) {
        const ndl_pack_meta meta = { .source = j.source,
                                     .config = j.config,
                                     .generation = j.generation,
                                     .progress = progress,
                                     .progress_arg = arg };
        ndl_weights_source_get(j.weights, &source);
        const ndl_assembly a = { .model = ndl_weights_source_model(j.weights),
                                 .mix = mix,
                                 .source = &source,
                                 .meta = &meta,
                                 .tokenizer = j.tokenizer,
                                 .chat_template = j.chat_template };
        st = ndl_assemble(out, &a);
    }
    fini(&j);
    return st;
}
