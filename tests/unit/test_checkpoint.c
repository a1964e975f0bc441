/* test_checkpoint.c - facts about checkpoint.h: directories become files. */
#include "noodle/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/family_kit.h"
#include "noodle/store.h"
#include "noodle/tokenizer.h"
#include "noodle/weights.h"

#define TOKENIZER                                                              \
    "{\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"    \
    "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"            \
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{" \
    "\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":%d},"                  \
    "\"merges\":[\"a b\"]}}"

static test_folder folder;
static char out[400], part[408];

static void write_tokenizer(int last_id)
{
    char text[1024];
    snprintf(text, sizeof text, TOKENIZER, last_id);
    kit_write_text(folder.path, "tokenizer.json", text);
}

static int setup(void **state)
{
    (void)state;
    ndl_status_clear();
    if (test_folder_make(&folder) != 0) return -1;
    kit_path(out, folder.path, "weights.h5");
    snprintf(part, sizeof part, "%s.part", out);
    write_tokenizer(2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static void import_as(const ndl_mix *mix)
{
    ndl_status_clear();
    if (ndl_checkpoint_import(folder.path, out, mix, NULL, NULL) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    assert_int_not_equal(access(part, F_OK), 0);
}

static void import_must_fail(ndl_status code, const char *word)
{
    ndl_status_clear();
    const ndl_status st =
        ndl_checkpoint_import(folder.path, out, NULL, NULL, NULL);
    if (st != code) fail_msg("status %d: %s", st, ndl_status_message());
    if (!strstr(ndl_status_message(), word))
        fail_msg("\"%s\" has no \"%s\"", ndl_status_message(), word);
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
}

static void write_gpt2(const char *dtype)
{
    kit_checkpoint c;
    kit_gpt2(&c, "transformer.");
    for (int i = 0; i < c.n; i++) c.tensors[i].dtype = dtype;
    kit_write_single(&c, folder.path);
    kit_write_text(folder.path, "config.json", KIT_GPT2_CONFIG);
}

static void write_llama(const char *dtype)
{
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    for (int i = 0; i < c.n; i++) c.tensors[i].dtype = dtype;
    kit_write_shards(&c, 12, folder.path);
    kit_write_text(folder.path, "config.json", KIT_LLAMA_CONFIG);
}

static ndl_weights *map_all(int n_layers)
{
    const ndl_part all = { 0, n_layers, true, true };
    ndl_weights *w = NULL;
    if (ndl_weights_check(out, NULL, NULL) != NDL_OK ||
        ndl_weights_open(&w, out, &all, NULL) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return w;
}

/* Element (r, k) of a matrix in panels or rows; bf16 holds the kit's values
 * exactly, so it is compared like f32. */
static float at(const ndl_matrix *m, int r, int k)
{
    const size_t K = (size_t)m->cols, row = (size_t)r, c = (size_t)k;
    if (m->dtype == NDL_F32) {
        const float *x = m->data;
        return m->panels ? x[(row / 16 * K + c) * 16 + row % 16]
                         : x[row * K + c];
    }
    const uint16_t *b = m->data;
    const size_t pairs = (K + 1) / 2;
    const size_t i =
        m->panels ? ((row / 16 * pairs + c / 2) * 16 + row % 16) * 2 + c % 2
                  : row * K + c;
    const uint32_t bits = (uint32_t)b[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Rows first .. first + rows - 1 of a matrix are a tensor stored [N][K]. */
static void check_linear(const ndl_matrix *m, int first, int rows,
                         const char *name)
{
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < m->cols; k++)
            if (at(m, first + r, k) !=
                kit_value(name, (size_t)(r * m->cols + k)))
                fail_msg("%s row %d column %d", name, r, k);
}

/* The whole matrix is a tensor stored [K][N]. */
static void check_transposed(const ndl_matrix *m, int rows, const char *name)
{
    assert_int_equal(m->rows, rows);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < m->cols; k++)
            if (at(m, r, k) != kit_value(name, (size_t)(k * rows + r)))
                fail_msg("%s row %d column %d", name, r, k);
}

static void check_vector(const float *v, int n, const char *name)
{
    for (int i = 0; i < n; i++) assert_true(v[i] == kit_value(name, (size_t)i));
}

/* Gate and up take turns, 16 rows each. */
static void check_alternate(const ndl_matrix *m, int rows, int odd,
                            const char *name)
{
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < m->cols; k++)
            if (at(m, (r / 16 * 2 + odd) * 16 + r % 16, k) !=
                kit_value(name, (size_t)(r * m->cols + k)))
                fail_msg("%s row %d column %d", name, r, k);
}

static void check_gpt2_file(ndl_dtype dtype)
{
    ndl_weights *w = map_all(2);
    const ndl_layer *l = ndl_weights_layer(w, 1);
    const ndl_ends *e = ndl_weights_ends(w);
    assert_true(ndl_mix_equal(ndl_weights_mix(w), ndl_mix_plain(dtype)));
    check_linear(&e->tokens, 0, 40, "transformer.wte.weight");
    check_linear(&e->positions, 0, 24, "transformer.wpe.weight");
    check_linear(&e->head, 0, 40, "transformer.wte.weight");
    check_transposed(&l->qkv, 96, "transformer.h.1.attn.c_attn.weight");
    check_vector(l->qkv_bias, 96, "transformer.h.1.attn.c_attn.bias");
    check_transposed(&l->out, 32, "transformer.h.1.attn.c_proj.weight");
    check_transposed(&l->up, 128, "transformer.h.1.mlp.c_fc.weight");
    check_transposed(&l->down, 32, "transformer.h.1.mlp.c_proj.weight");
    check_vector(l->norm1, 32, "transformer.h.1.ln_1.weight");
    check_vector(l->norm2_bias, 32, "transformer.h.1.ln_2.bias");
    check_vector(e->norm_bias, 32, "transformer.ln_f.bias");
    ndl_weights_destroy(&w);
}

static void check_llama_file(ndl_dtype dtype)
{
    ndl_weights *w = map_all(2);
    const ndl_layer *l = ndl_weights_layer(w, 1);
    const ndl_ends *e = ndl_weights_ends(w);
    assert_true(ndl_mix_equal(ndl_weights_mix(w), ndl_mix_plain(dtype)));
    check_linear(&e->tokens, 0, 50, "model.embed_tokens.weight");
    check_linear(&e->head, 0, 50, "lm_head.weight");
    check_linear(&l->qkv, 0, 32, "model.layers.1.self_attn.q_proj.weight");
    check_linear(&l->qkv, 32, 16, "model.layers.1.self_attn.k_proj.weight");
    check_linear(&l->qkv, 48, 16, "model.layers.1.self_attn.v_proj.weight");
    check_linear(&l->out, 0, 24, "model.layers.1.self_attn.o_proj.weight");
    check_alternate(&l->up, 40, 0, "model.layers.1.mlp.gate_proj.weight");
    check_alternate(&l->up, 40, 1, "model.layers.1.mlp.up_proj.weight");
    check_linear(&l->down, 0, 24, "model.layers.1.mlp.down_proj.weight");
    check_vector(e->norm, 24, "model.norm.weight");
    assert_null(l->qkv_bias);
    ndl_weights_destroy(&w);
}

static void gpt2_import_holds_every_element_of_the_source(void **state)
{
    (void)state;
    static const char *const dtypes[] = { "F32", "F16", "BF16" };
    for (int i = 0; i < 3; i++) {
        write_gpt2(dtypes[i]);
        import_as(NULL);
        check_gpt2_file(i == 2 ? NDL_BF16 : NDL_F32);
    }
}

static void llama_import_holds_every_element_of_the_shards(void **state)
{
    (void)state;
    static const char *const dtypes[] = { "F32", "F16", "BF16" };
    for (int i = 0; i < 3; i++) {
        write_llama(dtypes[i]);
        import_as(NULL);
        check_llama_file(i == 2 ? NDL_BF16 : NDL_F32);
    }
}

static void import_takes_the_dtype_it_is_given(void **state)
{
    (void)state;
    const ndl_mix f32 = ndl_mix_plain(NDL_F32);
    const ndl_mix bf16 = ndl_mix_plain(NDL_BF16);
    write_llama("BF16");
    import_as(&f32);
    check_llama_file(NDL_F32);
    write_gpt2("F32");
    import_as(&bf16);
    check_gpt2_file(NDL_BF16);
}

static void import_keeps_configs_and_tokenizer(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    ndl_tokenizer *t = NULL;
    ndl_model m;
    ndl_mix mix;
    char *text = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    write_llama("F32");
    kit_write_text(folder.path, "generation_config.json",
                   "{\"eos_token_id\":[7,8]}");
    import_as(NULL);
    assert_int_equal(ndl_store_open(&s, out), NDL_OK);
    assert_int_equal(ndl_weights_read_model(s, &m, &mix), NDL_OK);
    assert_int_equal(m.n_eos, 2);
    assert_int_equal(m.eos[1], 8);
    assert_int_equal(ndl_store_get_text(s, "/", "config", &text), NDL_OK);
    assert_string_equal(text, KIT_LLAMA_CONFIG);
    free(text);
    assert_int_equal(ndl_tokenizer_load(&t, s), NDL_OK);
    assert_int_equal(ndl_tokenizer_encode(t, "abb", 3, false, &ids, &n),
                     NDL_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 1);
    free(ids);
    assert_false(ndl_store_has(s, "/tokenizer/chat_template"));
    ndl_tokenizer_destroy(&t);
    ndl_store_close(&s);
}

static void check_template(const char *want)
{
    char text[64] = "";
    ndl_store *s = NULL;
    import_as(NULL);
    assert_int_equal(ndl_store_open(&s, out), NDL_OK);
    assert_int_equal(ndl_store_has(s, "/tokenizer/chat_template"),
                     want != NULL);
    if (want)
        assert_int_equal(
            ndl_store_read(s, "/tokenizer/chat_template", text, sizeof text),
            NDL_OK);
    assert_string_equal(text, want ? want : "");
    ndl_store_close(&s);
}

static void import_keeps_the_chat_template_wherever_it_is(void **state)
{
    (void)state;
    static const char file[] = "tokenizer_config.json";
    write_llama("F32");
    kit_write_text(folder.path, file, "{\"chat_template\":null}");
    check_template(NULL);
    kit_write_text(folder.path, file, "{\"chat_template\":\"one {{ x }}\"}");
    check_template("one {{ x }}");
    kit_write_text(folder.path, file,
                   "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":"
                   "\"no\"},{\"name\":\"default\",\"template\":\"two\"}]}");
    check_template("two");
    kit_write_text(folder.path, "chat_template.jinja", "three\n");
    check_template("three\n");
}

static void import_of_what_is_no_model_names_the_fix(void **state)
{
    (void)state;
    import_must_fail(NDL_ENOINPUT, "no config.json: give a Hugging Face model "
                                   "directory");
    kit_write_text(folder.path, "config.json", KIT_LLAMA_CONFIG);
    import_must_fail(NDL_ENOINPUT, "no model.safetensors");
    kit_write_text(folder.path, "pytorch_model.bin", "");
    import_must_fail(NDL_ENOINPUT, "convert it to safetensors");
    char path[400];
    kit_path(path, folder.path, "config.json");
    ndl_status_clear();
    assert_int_equal(ndl_checkpoint_import(path, out, NULL, NULL, NULL),
                     NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), "not a directory"));
    ndl_status_clear();
    assert_int_equal(ndl_checkpoint_import("nowhere", out, NULL, NULL, NULL),
                     NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), "nowhere"));
}

static void import_without_tokenizer_names_the_fix(void **state)
{
    (void)state;
    write_llama("F32");
    remove(test_folder_at(&folder, "tokenizer.json"));
    import_must_fail(NDL_ENOINPUT, "no tokenizer.json: write one");
    kit_write_text(folder.path, "tokenizer.model", "x");
    import_must_fail(NDL_ENOINPUT,
                     "no tokenizer.json, only tokenizer.model: write one");
}

static void import_of_bad_files_leaves_nothing_behind(void **state)
{
    (void)state;
    write_llama("F32");
    write_tokenizer(50);
    import_must_fail(NDL_EDATA, "its largest id is 50, but the model has 50");
    kit_write_text(folder.path, "tokenizer.json", "{\"model\":{}}");
    import_must_fail(NDL_EDATA, "tokenizer.json");
    write_tokenizer(49);
    kit_write_text(folder.path, "tokenizer_config.json", "{");
    import_must_fail(NDL_EDATA, "tokenizer_config.json");
    kit_write_text(folder.path, "tokenizer_config.json", "{}");
    kit_write_text(folder.path, "generation_config.json", "[]");
    import_must_fail(NDL_EDATA, "generation_config.json");
    kit_write_text(folder.path, "generation_config.json", "{}");
    kit_write_text(folder.path, "config.json", "{\"model_type\":\"mamba\"}");
    import_must_fail(NDL_EDATA, "config.json: model_type \"mamba\"");
}

/* Cut a shard while it is being imported: the header was checked, so only
 * reading notices. */
static ndl_status cut_shard(void *arg, uint64_t done, uint64_t all)
{
    (void)arg;
    (void)done;
    (void)all;
    assert_int_equal(
        truncate(test_folder_at(&folder, "model-00002-of-00002.safetensors"),
                 4000),
        0);
    return NDL_OK;
}

static void import_that_fails_half_way_leaves_nothing_behind(void **state)
{
    (void)state;
    write_llama("F32");
    ndl_status_clear();
    assert_int_equal(
        ndl_checkpoint_import(folder.path, out, NULL, cut_shard, NULL),
        NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "00002-of-00002"));
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
}

static void import_into_a_missing_folder_is_refused(void **state)
{
    (void)state;
    write_llama("F32");
    ndl_status_clear();
    assert_int_equal(
        ndl_checkpoint_import(folder.path, "no/such/w.h5", NULL, NULL, NULL),
        NDL_ECREATE);
    assert_non_null(strstr(ndl_status_message(), "no/such/w.h5"));
}

static ndl_status count_up(void *arg, uint64_t done, uint64_t all)
{
    uint64_t *last = arg;
    assert_true(done >= *last && done <= all);
    *last = done == all ? UINT64_MAX : done;
    return NDL_OK;
}

static ndl_status interrupt(void *arg, uint64_t done, uint64_t all)
{
    (void)arg, (void)done, (void)all;
    return NDL_EINT;
}

static void an_interrupted_import_leaves_nothing(void **state)
{
    (void)state;
    write_gpt2("F32");
    assert_int_equal(
        ndl_checkpoint_import(folder.path, out, NULL, interrupt, NULL),
        NDL_EINT);
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(part, F_OK), 0);
}

static void import_progress_rises_to_the_end(void **state)
{
    (void)state;
    uint64_t last = 0;
    write_gpt2("F32");
    assert_int_equal(
        ndl_checkpoint_import(folder.path, out, NULL, count_up, &last), NDL_OK);
    assert_true(last == UINT64_MAX);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(gpt2_import_holds_every_element_of_the_source),
        IN_FOLDER(llama_import_holds_every_element_of_the_shards),
        IN_FOLDER(import_takes_the_dtype_it_is_given),
        IN_FOLDER(import_keeps_configs_and_tokenizer),
        IN_FOLDER(import_keeps_the_chat_template_wherever_it_is),
        IN_FOLDER(import_of_what_is_no_model_names_the_fix),
        IN_FOLDER(import_without_tokenizer_names_the_fix),
        IN_FOLDER(import_of_bad_files_leaves_nothing_behind),
        IN_FOLDER(import_that_fails_half_way_leaves_nothing_behind),
        IN_FOLDER(import_into_a_missing_folder_is_refused),
        IN_FOLDER(import_progress_rises_to_the_end),
        IN_FOLDER(an_interrupted_import_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
