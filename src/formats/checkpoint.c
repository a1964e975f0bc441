/* checkpoint.c - import: a Hugging Face directory becomes a weights file. */
#include "noodle/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "assemble.h"
#include "directory.h"
#include "huggingface.h"
#include "noodle/file.h"
#include "noodle/json.h"

enum { MAX_CONFIG_BYTES = 1 << 24 };

/* What an import holds while it runs. */
typedef struct checkpoint {
    const char *dir;
    char *config, *generation, *chat_template;
    size_t n_config, n_generation;
    ndl_model model;
    ndl_huggingface *tensors;
    ndl_tokenizer *tokenizer;
} checkpoint;

/* A file of the directory that may be missing: then *text stays NULL. */
static ndl_status read_optional(char **text, size_t *n, const char *dir,
                                const char *name)
{
    char *path = NULL;
    if (!ndl_directory_has(dir, name)) return NDL_OK;
    NDL_TRY(ndl_directory_path(&path, dir, name));
    const ndl_status st = ndl_file_read(text, n, path, MAX_CONFIG_BYTES);
    free(path);
    return st;
}

static ndl_status check_folder(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) != 0) return ndl_file_fail(dir, "open", errno);
    if (S_ISDIR(st.st_mode)) return NDL_OK;
    return NDL_FAIL(NDL_ENOINPUT,
                    "%s: not a directory: give a Hugging Face model directory",
                    dir);
}

static ndl_status read_model(checkpoint *c)
{
    char *path = NULL;
    NDL_TRY(check_folder(c->dir));
    NDL_TRY(read_optional(&c->config, &c->n_config, c->dir, "config.json"));
    if (!c->config)
        return NDL_FAIL(NDL_ENOINPUT,
                        "%s: no config.json: give a Hugging Face "
                        "model directory",
                        c->dir);
    NDL_TRY(read_optional(&c->generation, &c->n_generation, c->dir,
                          "generation_config.json"));
    NDL_TRY(ndl_directory_path(&path, c->dir, "config.json"));
    const ndl_status st = ndl_model_parse(&c->model, c->config, c->n_config,
                                          c->generation, c->n_generation, path);
    free(path);
    return st;
}

static ndl_status fail_no_tokenizer(const char *dir)
{
    const char *only =
        ndl_directory_has(dir, "tokenizer.model") ? ", only tokenizer.model"
        : ndl_directory_has(dir, "vocab.json")    ? ", only vocab.json"
                                                  : "";
    return NDL_FAIL(NDL_ENOINPUT,
                    "%s: no tokenizer.json%s: write one with transformers "
                    "(AutoTokenizer.from_pretrained, then save_pretrained)",
                    dir, only);
}

static ndl_status read_tokenizer(checkpoint *c)
{
    char *path = NULL;
    if (!ndl_directory_has(c->dir, "tokenizer.json"))
        return fail_no_tokenizer(c->dir);
    NDL_TRY(ndl_directory_path(&path, c->dir, "tokenizer.json"));
    const ndl_status st =
        ndl_assemble_tokenizer(&c->tokenizer, path, c->model.vocab);
    free(path);
    return st;
}

/* A template is a text, or a list of named ones; NULL if there is none. */
static const char *template_of(const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");
    if (!json_is_array(v)) return json_string_value(v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(one, "template"));
    }
    return NULL;
}

static ndl_status copy_template(checkpoint *c, const json_t *config)
{
    const char *text = template_of(config);
    if (!text) return NDL_OK;
    c->chat_template = strdup(text);
    return c->chat_template ? NDL_OK
                            : NDL_FAIL(NDL_EOS, "%s: out of memory", c->dir);
}

/* Since 2025 the template has a file of its own; before, it was a field. */
static ndl_status read_template(checkpoint *c)
{
    char *text = NULL;
    size_t n = 0;
    json_t *config = NULL;
    NDL_TRY(
        read_optional(&c->chat_template, &n, c->dir, "chat_template.jinja"));
    if (c->chat_template) return NDL_OK;
    NDL_TRY(read_optional(&text, &n, c->dir, "tokenizer_config.json"));
    if (!text) return NDL_OK;
    ndl_status st = ndl_json_parse(&config, text, n, "tokenizer_config.json");
    if (st == NDL_OK) st = copy_template(c, config);
    json_decref(config);
    free(text);
    return st;
}

static ndl_status read_all(checkpoint *c)
{
    NDL_TRY(read_model(c));
    NDL_TRY(ndl_huggingface_open(&c->tensors, c->dir, &c->model));
    NDL_TRY(read_tokenizer(c));
    return read_template(c);
}

static void fini(checkpoint *c)
{
    ndl_tokenizer_destroy(&c->tokenizer);
    ndl_huggingface_close(&c->tensors);
    free(c->chat_template);
    free(c->generation);
    free(c->config);
}

ndl_status ndl_checkpoint_import(const char *dir, const char *out,
                                 const ndl_mix *mix, ndl_progress_fn progress,
                                 void *arg)
{
    checkpoint c = { .dir = dir };
    ndl_source source;
    ndl_status st = read_all(&c);
    if (st == NDL_OK) {
        const ndl_pack_meta meta = { .source = dir,
                                     .config = c.config,
                                     .generation = c.generation,
                                     .progress = progress,
                                     .progress_arg = arg };
        ndl_huggingface_source(c.tensors, &source);
        const ndl_assembly a = {
            .model = &c.model,
            .mix = mix ? *mix : ndl_mix_plain(ndl_huggingface_dtype(c.tensors)),
            .source = &source,
            .meta = &meta,
            .tokenizer = c.tokenizer,
            .chat_template = c.chat_template
        };
        st = ndl_assemble(out, &a);
    }
    fini(&c);
    return st;
}
