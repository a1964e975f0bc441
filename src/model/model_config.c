/*
 * model_config.c - a Hugging Face config.json becomes an ndl_model.
 *
 * Owns what the fields of each family mean, in the spelling of transformers 4
 * and 5.  What would change the arithmetic and is not implemented is refused
 * by name: a model that runs but answers nonsense is worse than none.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "model_fields.h"
#include "noodle/model.h"

/* With these, every size of a tensor and of a whole model fits in int64_t,
 * and every number of rows or columns in int. */
enum {
    MAX_WIDTH = 1 << 17,
    MAX_FFN = 1 << 20,
    MAX_VOCAB = 1 << 24,
    MAX_CONTEXT = 1 << 24,
    MAX_HEADS = 1 << 12,
    MAX_HEAD_DIM = 1 << 10
};

typedef struct count_field {
    const char *name;
    size_t offset; /* of an int of ndl_model */
    int max, fallback;
} count_field;

/* clang-format off */
#define COUNT(name, field, max, fallback) \
    { name, offsetof(ndl_model, field), max, fallback }
static const count_field gpt2_counts[] = {
    COUNT("n_layer",                 n_layers,   NDL_MAX_LAYERS, -1),
    COUNT("n_embd",                  width,      MAX_WIDTH,      -1),
    COUNT("n_head",                  n_heads,    MAX_HEADS,      -1),
    COUNT("n_inner",                 ffn,        MAX_FFN,         0),
    COUNT("vocab_size",              vocab,      MAX_VOCAB,      -1),
    { NULL, 0, 0, 0 }
};
static const count_field llama_counts[] = {
    COUNT("num_hidden_layers",       n_layers,   NDL_MAX_LAYERS, -1),
    COUNT("hidden_size",             width,      MAX_WIDTH,      -1),
    COUNT("num_attention_heads",     n_heads,    MAX_HEADS,      -1),
    COUNT("num_key_value_heads",     n_kv_heads, MAX_HEADS,       0),
    COUNT("head_dim",                head_dim,   MAX_HEAD_DIM,    0),
    COUNT("intermediate_size",       ffn,        MAX_FFN,        -1),
    COUNT("vocab_size",              vocab,      MAX_VOCAB,      -1),
    COUNT("max_position_embeddings", context,    MAX_CONTEXT,    -1),
    { NULL, 0, 0, 0 }
};
#undef COUNT
/* clang-format on */

static ndl_status read_counts(const ndl_fields *f, const count_field *table,
                              ndl_model *m)
{
    for (const count_field *c = table; c->name; c++)
        NDL_TRY(ndl_fields_count(f, c->name, c->max, c->fallback,
                                 (int *)((char *)m + c->offset)));
    return NDL_OK;
}

/* The norms compute in f32 and flush what is smaller than FLT_MIN. */
static ndl_status read_eps(const ndl_fields *f, const char *name, ndl_model *m)
{
    double eps = 0;
    NDL_TRY(ndl_fields_real(f, name, NDL_FIELD_REQUIRED, &eps));
    if (eps < FLT_MIN || eps > 1)
        return NDL_FAIL(NDL_EDATA, "%s: %s is %g: it must be from %g to 1",
                        f->what, name, eps, (double)FLT_MIN);
    m->norm_eps = (float)eps;
    return NDL_OK;
}

/* Refuse a switch that is set to anything but what is implemented. */
static ndl_status expect_bool(const ndl_fields *f, const char *name,
                              bool wanted)
{
    bool b = wanted;
    NDL_TRY(ndl_fields_bool(f, name, wanted, &b));
    if (b == wanted) return NDL_OK;
    return NDL_FAIL(NDL_EDATA, "%s: %s %s is not supported: only %s is",
                    f->what, name, b ? "true" : "false",
                    wanted ? "true" : "false");
}

static ndl_status expect_absent(const ndl_fields *f, const char *name)
{
    if (!ndl_fields_get(f, name)) return NDL_OK;
    return NDL_FAIL(NDL_EDATA, "%s: %s is not supported: only null is", f->what,
                    name);
}

/* `second` may be NULL: another name of the same function. */
static ndl_status expect_activation(const ndl_fields *f, const char *name,
                                    const char *first, const char *second)
{
    const char *given = NULL;
    NDL_TRY(ndl_fields_text(f, name, first, &given));
    if (strcmp(given, first) == 0) return NDL_OK;
    if (second && strcmp(given, second) == 0) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s \"%.60s\" is not supported: only \"%s\" is",
                    f->what, name, given, first);
}

static ndl_status read_gpt2(const ndl_fields *f, ndl_model *m)
{
    const char *context = ndl_fields_get(f, "n_positions") ? "n_positions"
                          : ndl_fields_get(f, "n_ctx")     ? "n_ctx"
                                                           : "n_positions";
    NDL_TRY(read_counts(f, gpt2_counts, m));
    NDL_TRY(ndl_fields_count(f, context, MAX_CONTEXT, NDL_FIELD_REQUIRED,
                             &m->context));
    NDL_TRY(read_eps(f, "layer_norm_epsilon", m));
    NDL_TRY(expect_activation(f, "activation_function", "gelu_new",
                              "gelu_pytorch_tanh"));
    NDL_TRY(expect_bool(f, "scale_attn_weights", true));
    NDL_TRY(expect_bool(f, "scale_attn_by_inverse_layer_idx", false));
    NDL_TRY(expect_bool(f, "add_cross_attention", false));
    NDL_TRY(ndl_fields_bool(f, "tie_word_embeddings", true, &m->tied));
    if (!m->ffn) m->ffn = 4 * m->width;
    m->norm = NDL_NORM_LAYER;
    m->mlp = NDL_MLP_GELU;
    m->rope.kind = NDL_ROPE_NONE;
    m->qkv_bias = m->out_bias = m->mlp_bias = true;
    return NDL_OK;
}

/* `r` is the object with the factors, `f` the whole config. */
static ndl_status read_llama3_rope(const ndl_fields *r, const ndl_fields *f,
                                   ndl_rope *rope)
{
    static const char original[] = "original_max_position_embeddings";
    const ndl_fields *at = ndl_fields_get(r, original) ? r : f;
    NDL_TRY(ndl_fields_real(r, "low_freq_factor", NDL_FIELD_REQUIRED,
                            &rope->low_freq_factor));
    NDL_TRY(ndl_fields_real(r, "high_freq_factor", NDL_FIELD_REQUIRED,
                            &rope->high_freq_factor));
    NDL_TRY(ndl_fields_count(at, original, MAX_CONTEXT, NDL_FIELD_REQUIRED,
                             &rope->original_context));
    if (rope->high_freq_factor > rope->low_freq_factor) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: high_freq_factor is %g: it must be above "
                    "low_freq_factor, %g",
                    f->what, rope->high_freq_factor, rope->low_freq_factor);
}

/* transformers 5 may give one object for each type of layer; reading that as
 * one flat object would silently take the defaults. */
static ndl_status expect_flat(const ndl_fields *r, const char *name)
{
    const char *key = NULL;
    json_t *v = NULL;
    json_object_foreach((json_t *)r->object, key, v)
    {
        if (json_is_object(v))
            return NDL_FAIL(NDL_EDATA,
                            "%s: %s for each type of layer is not supported: "
                            "only one for all layers is",
                            r->what, name);
    }
    return NDL_OK;
}

static ndl_status expect_whole_head(const ndl_fields *f)
{
    double part = 1;
    NDL_TRY(ndl_fields_real(f, "partial_rotary_factor", 1, &part));
    if (part == 1) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: partial_rotary_factor %g is not supported: only 1 is",
                    f->what, part);
}

/* The kind of scaling and its factors; `name` is the object's field. */
static ndl_status read_scaling(const ndl_fields *r, const ndl_fields *f,
                               const char *name, ndl_rope *rope)
{
    const char *kind = NULL;
    NDL_TRY(ndl_fields_text(r, "type", "", &kind));
    NDL_TRY(ndl_fields_text(r, "rope_type", kind, &kind));
    if (!*kind && ndl_fields_get(r, "factor"))
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s has a factor but no rope_type: add "
                        "linear or llama3",
                        f->what, name);
    if (!*kind || strcmp(kind, "default") == 0) return NDL_OK;
    if (strcmp(kind, "linear") != 0 && strcmp(kind, "llama3") != 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: rope type \"%.60s\" in %s is not supported: "
                        "default, linear, llama3",
                        f->what, kind, name);
    NDL_TRY(ndl_fields_real(r, "factor", NDL_FIELD_REQUIRED, &rope->factor));
    rope->kind = NDL_ROPE_LINEAR;
    if (strcmp(kind, "linear") == 0) return NDL_OK;
    rope->kind = NDL_ROPE_LLAMA3;
    return read_llama3_rope(r, f, rope);
}

/* transformers 5 has rope_parameters with theta inside; 4 has rope_theta and
 * rope_scaling.  Where a file has both, the newer spelling is what counts. */
static ndl_status read_rope(const ndl_fields *f, ndl_rope *rope)
{
    const char *name = ndl_fields_get(f, "rope_parameters") ? "rope_parameters"
                                                            : "rope_scaling";
    ndl_fields r = { ndl_fields_get(f, name), f->what };
    *rope = (ndl_rope){ .kind = NDL_ROPE_PLAIN, .factor = 1 };
    NDL_TRY(ndl_fields_real(f, "rope_theta", 10000, &rope->theta));
    NDL_TRY(expect_whole_head(f));
    if (!r.object) return NDL_OK;
    if (!json_is_object(r.object))
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s is no object: it must be one or "
                        "null",
                        f->what, name);
    NDL_TRY(expect_flat(&r, name));
    NDL_TRY(ndl_fields_real(&r, "rope_theta", rope->theta, &rope->theta));
    NDL_TRY(expect_whole_head(&r));
    return read_scaling(&r, f, name, rope);
}

/* What the descendants of Llama share. */
static ndl_status read_llama_core(const ndl_fields *f, ndl_model *m)
{
    NDL_TRY(read_counts(f, llama_counts, m));
    NDL_TRY(read_eps(f, "rms_norm_eps", m));
    NDL_TRY(read_rope(f, &m->rope));
    NDL_TRY(expect_activation(f, "hidden_act", "silu", NULL));
    NDL_TRY(ndl_fields_bool(f, "tie_word_embeddings", false, &m->tied));
    m->norm = NDL_NORM_RMS;
    m->mlp = NDL_MLP_SWIGLU;
    return NDL_OK;
}

static ndl_status read_llama(const ndl_fields *f, ndl_model *m)
{
    bool bias = false;
    NDL_TRY(read_llama_core(f, m));
    NDL_TRY(expect_absent(f, "sliding_window"));
    NDL_TRY(ndl_fields_bool(f, "attention_bias", false, &bias));
    NDL_TRY(ndl_fields_bool(f, "mlp_bias", false, &m->mlp_bias));
    m->qkv_bias = m->out_bias = bias;
    return NDL_OK;
}

/* transformers 5 lists what each layer attends to. */
static ndl_status expect_full_attention(const ndl_fields *f)
{
    const json_t *types = ndl_fields_get(f, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, "full_attention") != 0)
            return NDL_FAIL(NDL_EDATA,
                            "%s: layer_types has \"%.60s\", which is not "
                            "supported: only full_attention is",
                            f->what, type ? type : "no text");
    }
    return NDL_OK;
}

/* Qwen's configs carry a sliding_window also where none is used; where it is,
 * the first max_window_layers layers attend to everything all the same. */
static ndl_status expect_no_window(const ndl_fields *f, const ndl_model *m)
{
    const json_t *n_full = ndl_fields_get(f, "max_window_layers");
    bool used = false;
    NDL_TRY(expect_full_attention(f));
    NDL_TRY(ndl_fields_bool(f, "use_sliding_window", false, &used));
    if (!used || json_integer_value(n_full) >= m->n_layers) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: use_sliding_window true is not supported: only a "
                    "model without a sliding window is",
                    f->what);
}

/* Qwen 2: q, k and v have a bias and o has none, and no field says so. */
static ndl_status read_qwen2(const ndl_fields *f, ndl_model *m)
{
    NDL_TRY(read_llama_core(f, m));
    NDL_TRY(expect_no_window(f, m));
    m->qkv_bias = true;
    return NDL_OK;
}

/* What several fields must agree on. */
static ndl_status finish_heads(const ndl_fields *f, ndl_model *m)
{
    if (!m->n_kv_heads) m->n_kv_heads = m->n_heads;
    if (m->n_heads % m->n_kv_heads)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %d heads do not share %d key-value heads evenly: "
                        "one must be a multiple of the other",
                        f->what, m->n_heads, m->n_kv_heads);
    if (!m->head_dim && m->width % m->n_heads)
        return NDL_FAIL(NDL_EDATA,
                        "%s: width %d is not a multiple of %d heads: give "
                        "head_dim",
                        f->what, m->width, m->n_heads);
    if (!m->head_dim) m->head_dim = m->width / m->n_heads;
    if (m->head_dim % 2 || m->head_dim > MAX_HEAD_DIM)
        return NDL_FAIL(NDL_EDATA,
                        "%s: head_dim is %d: it must be even and at most %d",
                        f->what, m->head_dim, MAX_HEAD_DIM);
    return NDL_OK;
}

static ndl_status add_eos(const ndl_fields *f, const json_t *v, ndl_model *m)
{
    int id = -1;
    NDL_TRY(ndl_fields_token(f, "eos_token_id", v, m->vocab, &id));
    if (id < 0) return NDL_OK;
    for (int i = 0; i < m->n_eos; i++)
        if (m->eos[i] == id) return NDL_OK;
    if (m->n_eos == NDL_MAX_EOS)
        return NDL_FAIL(NDL_EDATA, "%s: eos_token_id has more than %d ids",
                        f->what, NDL_MAX_EOS);
    m->eos[m->n_eos++] = id;
    return NDL_OK;
}

/* One id or a list of ids. */
static ndl_status read_eos(const ndl_fields *f, ndl_model *m)
{
    const json_t *v = ndl_fields_get(f, "eos_token_id");
    if (!v) return NDL_OK;
    if (!json_is_array(v)) return add_eos(f, v, m);
    for (size_t i = 0; i < json_array_size(v); i++)
        NDL_TRY(add_eos(f, json_array_get(v, i), m));
    return NDL_OK;
}

static ndl_status read_bos(const ndl_fields *f, ndl_model *m)
{
    const json_t *v = ndl_fields_get(f, "bos_token_id");
    m->bos = -1;
    return v ? ndl_fields_token(f, "bos_token_id", v, m->vocab, &m->bos)
             : NDL_OK;
}

/* Quantized weights are integers under the usual names: never load them. */
static ndl_status refuse_quantized(const ndl_fields *f)
{
    const ndl_fields q = { ndl_fields_get(f, "quantization_config"), f->what };
    const char *method = "unknown method";
    if (!q.object) return NDL_OK;
    if (json_is_object(q.object))
        NDL_TRY(ndl_fields_text(&q, "quant_method", method, &method));
    return NDL_FAIL(NDL_EDATA,
                    "%s: quantization_config (%.60s) is not supported: take "
                    "the original weights",
                    f->what, method);
}

static const struct family {
    const char *name;
    ndl_status (*read)(const ndl_fields *f, ndl_model *m);
} families[] = { { "gpt2", read_gpt2 },
                 { "llama", read_llama },
                 { "qwen2", read_qwen2 } };

static ndl_status read_family(const ndl_fields *f, ndl_model *m)
{
    const char *type = NULL;
    NDL_TRY(ndl_fields_text(f, "model_type", NULL, &type));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strcmp(type, families[i].name) != 0) continue;
        strcpy(m->arch, families[i].name);
        return families[i].read(f, m);
    }
    return NDL_FAIL(NDL_EDATA,
                    "%s: model_type \"%.60s\" is not supported: gpt2, llama, "
                    "qwen2",
                    f->what, type);
}

static ndl_status read_config(const ndl_fields *f, ndl_model *m)
{
    NDL_TRY(refuse_quantized(f));
    NDL_TRY(read_family(f, m));
    NDL_TRY(finish_heads(f, m));
    NDL_TRY(read_bos(f, m));
    return read_eos(f, m);
}

/* Parse a text that must be an object; the caller owns *out. */
static ndl_status parse_object(json_t **out, const char *text, size_t n,
                               const char *what)
{
    json_t *j = NULL;
    NDL_TRY(ndl_json_parse(&j, text, n, what));
    if (json_is_object(j)) {
        *out = j;
        return NDL_OK;
    }
    json_decref(j);
    return NDL_FAIL(NDL_EDATA, "%s: no JSON object: take the model's file",
                    what);
}

ndl_status ndl_model_parse(ndl_model *out, const char *config, size_t n,
                           const char *generation, size_t n_generation,
                           const char *what)
{
    ndl_status st = NDL_OK;
    json_t *main_json = NULL, *more_json = NULL;
    ndl_model m;
    memset(&m, 0, sizeof m);

    NDL_TRY_GOTO(done, st, parse_object(&main_json, config, n, what));
    NDL_TRY_GOTO(done, st, read_config(&(ndl_fields){ main_json, what }, &m));
    if (generation) {
        static const char name[] = "generation_config.json";
        NDL_TRY_GOTO(done, st,
                     parse_object(&more_json, generation, n_generation, name));
        NDL_TRY_GOTO(done, st, read_eos(&(ndl_fields){ more_json, name }, &m));
    }
    *out = m;
done:
    json_decref(main_json);
    json_decref(more_json);
    return st;
}
