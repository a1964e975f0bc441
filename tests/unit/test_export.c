/* test_export.c - facts about export: what was imported comes back. */
#include "../../src/formats/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/formats/assemble.h"
#include "../../src/formats/random_weights.h"
#include "../../src/formats/safetensors.h"
#include "../support/family_kit.h"
#include "noodle/file.h"
#include "noodle/log.h"
#include "noodle/store.h"
#include "noodle/weights.h"

#define TOKENIZER                                                              \
    "{ \"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"   \
    "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"            \
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{" \
    "\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"                   \
    "\"merges\":[\"a b\"]}}\n"
#define GENERATION "{\"eos_token_id\":[7,8] }\n"

static const uint64_t no_limit = UINT64_MAX;

/* Source, weights file, export and the weights file of the export. */
static test_folder source, target;
static char first[400], second[400];

static int setup(void **state)
{
    (void)state;
    ndl_status_clear();
    ndl_log_init(0, NDL_LOG_ERROR);
    if (test_folder_make(&source) || test_folder_make(&target)) return -1;
    snprintf(first, sizeof first, "%s.h5", source.path);
    snprintf(second, sizeof second, "%s.h5", target.path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove(first);
    remove(second);
    return test_folder_remove(&source) || test_folder_remove(&target);
}

static void must(ndl_status st)
{
    if (st != NDL_OK) fail_msg("%s", ndl_status_message());
}

static void write_texts(const char *config)
{
    kit_write_text(source.path, "config.json", config);
    kit_write_text(source.path, "tokenizer.json", TOKENIZER);
}

static void import_as(const ndl_mix *mix)
{
    must(ndl_checkpoint_import(source.path, first, mix, NULL, NULL));
}

static void *read_tensor(const ndl_safetensors *s, const ndl_tensor *t)
{
    void *bytes = malloc((size_t)t->bytes + 1);
    assert_non_null(bytes);
    must(ndl_safetensors_read(s, t, 0, (size_t)t->bytes, bytes));
    return bytes;
}

static void check_tensor(const ndl_safetensors *in, const ndl_tensor *a,
                         const ndl_safetensors *out)
{
    const ndl_tensor *b = ndl_safetensors_find(out, a->name);
    if (!b) fail_msg("no %s", a->name);
    assert_string_equal(a->dtype, b->dtype);
    assert_int_equal(a->n_dims, b->n_dims);
    assert_memory_equal(a->dims, b->dims, sizeof a->dims);
    void *x = read_tensor(in, a), *y = read_tensor(out, b);
    if (memcmp(x, y, (size_t)a->bytes) != 0) fail_msg("%s differs", a->name);
    free(x);
    free(y);
}

/* Every tensor of the source, but one that is not kept, and no other. */
static void check_tensors(const char *dropped)
{
    ndl_safetensors *in = NULL, *out = NULL;
    must(ndl_safetensors_open(&in, source.path));
    must(ndl_safetensors_open(&out, target.path));
    const ndl_tensor_list *list = ndl_safetensors_list(in);
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (dropped && strcmp(list->items[i].name, dropped) == 0) continue;
        check_tensor(in, &list->items[i], out);
        n++;
    }
    assert_int_equal(ndl_safetensors_list(out)->n, n);
    ndl_safetensors_close(&in);
    ndl_safetensors_close(&out);
}

static void check_text(const char *name)
{
    char path[400], *a = NULL, *b = NULL;
    size_t n_a = 0, n_b = 0;
    assert_int_equal(kit_exists(source.path, name),
                     kit_exists(target.path, name));
    if (!kit_exists(source.path, name)) return;
    kit_path(path, source.path, name);
    must(ndl_file_read(&a, &n_a, path, 1 << 20));
    kit_path(path, target.path, name);
    must(ndl_file_read(&b, &n_b, path, 1 << 20));
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    free(a);
    free(b);
}

typedef struct sums {
    ndl_store *a, *b;
    int n;
} sums;

static ndl_status compare_sum(void *arg, const char *name)
{
    sums *s = arg;
    uint64_t x = 0, y = 1;
    must(ndl_store_get_u64(s->a, name, "xxh3_64", &x));
    must(ndl_store_get_u64(s->b, name, "xxh3_64", &y));
    if (x != y) fail_msg("%s has another checksum", name);
    s->n++;
    return NDL_OK;
}

static ndl_status count_one(void *arg, const char *name)
{
    (void)name;
    ++*(int *)arg;
    return NDL_OK;
}

/* The export imports to the same datasets, and both files are whole. */
static void check_again(void)
{
    sums s = { NULL, NULL, 0 };
    int n = 0;
    must(ndl_checkpoint_import(target.path, second, NULL, NULL, NULL));
    must(ndl_weights_check(second, NULL, NULL));
    must(ndl_store_open(&s.a, first));
    must(ndl_store_open(&s.b, second));
    must(ndl_store_each(s.a, "/", compare_sum, &s));
    must(ndl_store_each(s.b, "/", count_one, &n));
    assert_int_equal(s.n, n);
    ndl_store_close(&s.a);
    ndl_store_close(&s.b);
}

/* There and back; what is written in `source` is already there. */
static void round_trip(uint64_t shard_bytes, const char *dropped)
{
    import_as(NULL);
    must(ndl_export(first, target.path, shard_bytes, NULL, NULL));
    check_tensors(dropped);
    check_text("config.json");
    check_text("generation_config.json");
    check_text("tokenizer.json");
    check_text("chat_template.jinja");
    check_again();
    assert_int_equal(test_folder_remove(&target), 0);
    assert_int_equal(mkdir(target.path, 0700), 0);
}

static const char *const dtypes[] = { "F32", "F16", "BF16" };
enum { N_DTYPES = 3 };

static void set_dtypes(kit_checkpoint *c, const char *dtype)
{
    for (int i = 0; i < c->n; i++) c->tensors[i].dtype = dtype;
}

/* One file and shards of it, in every dtype. */
static void trip_in_every_dtype(kit_checkpoint *c, const char *config)
{
    write_texts(config);
    for (int i = 0; i < N_DTYPES; i++) {
        set_dtypes(c, dtypes[i]);
        kit_write_single(c, source.path);
        round_trip(no_limit, NULL);
        round_trip(5000, NULL);
    }
}

static void gpt2_comes_back_in_every_dtype(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "transformer.");
    trip_in_every_dtype(&c, KIT_GPT2_CONFIG);
}

static void gpt2_bare_names_and_an_untied_head_come_back(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "");
    kit_add(&c, "lm_head.weight", 40, 32);
    trip_in_every_dtype(
        &c, "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":32,"
            "\"n_positions\":24,\"vocab_size\":40,\"layer_norm_epsilon\":1e-5,"
            "\"tie_word_embeddings\":false}");
}

static void llama_comes_back_in_every_dtype(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    trip_in_every_dtype(&c, KIT_LLAMA_CONFIG);
}

static void llama_bare_tied_with_biases_comes_back(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "", true, true);
    trip_in_every_dtype(&c, "{" KIT_LLAMA_FIELDS
                            ",\"attention_bias\":true,\"mlp_bias\":true,"
                            "\"tie_word_embeddings\":true}");
}

/* The tensors of a shape that straddles panels, or whose rows are permuted. */
static void wide_llama(kit_checkpoint *c, int width, int hd, int ffn)
{
    kit_llama(c, "model.", true, false);
    for (int i = 0; i < c->n; i++) {
        kit_tensor *t = &c->tensors[i];
        for (int d = 0; d < t->n_dims; d++) {
            if (t->dims[d] == 32)
                t->dims[d] = 4 * hd;
            else if (t->dims[d] == 16)
                t->dims[d] = 2 * hd;
            else if (t->dims[d] == 24)
                t->dims[d] = width;
            else if (t->dims[d] == 40)
                t->dims[d] = ffn;
        }
    }
}

/* How a file is cut has nothing to do with shapes: by turns whole and in
 * shards, so that every shape has both. */
static void llama_heads_of_every_order_come_back(void **state)
{
    (void)state;
    static const struct {
        int width, hd, ffn;
    } shapes[] = { { 37, 20, 165 }, { 64, 32, 48 },   { 33, 64, 17 },
                   { 24, 6, 16 },   { 128, 96, 100 }, { 20, 2, 1 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        kit_checkpoint c;
        char config[1024];
        wide_llama(&c, shapes[i].width, shapes[i].hd, shapes[i].ffn);
        snprintf(config, sizeof config,
                 "{\"model_type\":\"llama\",\"num_hidden_layers\":2,"
                 "\"hidden_size\":%d,\"num_attention_heads\":4,"
                 "\"num_key_value_heads\":2,\"head_dim\":%d,"
                 "\"intermediate_size\":%d,\"vocab_size\":50,"
                 "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6,"
                 "\"attention_bias\":true,\"mlp_bias\":true}",
                 shapes[i].width, shapes[i].hd, shapes[i].ffn);
        write_texts(config);
        for (int d = 0; d < N_DTYPES; d++) {
            set_dtypes(&c, dtypes[d]);
            kit_write_single(&c, source.path);
            round_trip((i + (size_t)d) % 2 ? 5000 : no_limit, NULL);
        }
    }
}

static void qwen2_comes_back_in_every_dtype(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_qwen2(&c, false);
    trip_in_every_dtype(&c, KIT_QWEN2_CONFIG);
}

static void tied_head_that_was_stored_twice_comes_back_once(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    kit_write_single(&c, source.path);
    write_texts("{" KIT_LLAMA_FIELDS ",\"tie_word_embeddings\":true}");
    round_trip(no_limit, "lm_head.weight");
}

static void mixed_dtypes_come_back_each_as_it_was(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", true, false);
    for (int i = 0; i < c.n; i++) c.tensors[i].dtype = dtypes[i % N_DTYPES];
    kit_write_single(&c, source.path);
    write_texts("{" KIT_LLAMA_FIELDS
                ",\"attention_bias\":true,\"mlp_bias\":true}");
    round_trip(no_limit, NULL);
    /* Matrices of bf16 alone are stored as that; norms and biases differ. */
    for (int i = 0; i < c.n; i++)
        if (c.tensors[i].n_dims == 2) c.tensors[i].dtype = "BF16";
    kit_write_single(&c, source.path);
    round_trip(no_limit, NULL);
}

static void sharded_source_and_all_texts_come_back(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    kit_write_shards(&c, 12, source.path);
    write_texts(" " KIT_LLAMA_CONFIG "\n");
    kit_write_text(source.path, "generation_config.json", GENERATION);
    kit_write_text(source.path, "chat_template.jinja", "{{ x }}\n");
    round_trip(no_limit, NULL);
    round_trip(9000, NULL);
}

/* A matrix whose columns do not fit into one batch of the transposition. */
static void long_transposed_matrix_comes_back(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "");
    for (int i = 0; i < c.n; i++)
        for (int d = 0; d < c.tensors[i].n_dims; d++)
            if (c.tensors[i].dims[d] == 128) c.tensors[i].dims[d] = 80001;
    set_dtypes(&c, "BF16");
    kit_write_single(&c, source.path);
    write_texts(
        "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":32,"
        "\"n_inner\":80001,\"n_positions\":24,\"vocab_size\":40,"
        "\"layer_norm_epsilon\":1e-5}");
    round_trip(no_limit, NULL);
}

static const char *dtype_of(const char *name)
{
    ndl_safetensors *s = NULL;
    must(ndl_safetensors_open(&s, target.path));
    const ndl_tensor *t = ndl_safetensors_find(s, name);
    assert_non_null(t);
    const char *dtype = t->dtype;
    ndl_safetensors_close(&s);
    return dtype;
}

static void another_dtype_of_the_import_is_exported_as_stored(void **state)
{
    (void)state;
    static const char q[] = "model.layers.1.self_attn.q_proj.weight";
    static const char norm[] = "model.norm.weight";
    const ndl_mix f32 = ndl_mix_plain(NDL_F32);
    const ndl_mix bf16 = ndl_mix_plain(NDL_BF16);
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    kit_write_single(&c, source.path);
    write_texts(KIT_LLAMA_CONFIG);
    import_as(&bf16);
    must(ndl_checkpoint_export(first, target.path, NULL, NULL));
    assert_string_equal(dtype_of(q), "BF16");
    assert_string_equal(dtype_of(norm), "F32");
    check_again();
    set_dtypes(&c, "BF16");
    kit_write_single(&c, source.path);
    import_as(&f32);
    must(ndl_checkpoint_export(first, target.path, NULL, NULL));
    assert_string_equal(dtype_of(q), "F32");
    check_again();
}

/* Layout of the file itself: sizes, padding, order. */
static void header_is_padded_and_in_order(void **state)
{
    (void)state;
    kit_checkpoint c;
    char path[400], *text = NULL;
    size_t n = 0;
    uint64_t header = 0;
    kit_llama(&c, "model.", false, true);
    kit_find(&c, "model.norm.weight")->dtype = "BF16";
    kit_write_single(&c, source.path);
    write_texts("{" KIT_LLAMA_FIELDS ",\"tie_word_embeddings\":true}");
    import_as(NULL);
    must(ndl_checkpoint_export(first, target.path, NULL, NULL));
    kit_path(path, target.path, "model.safetensors");
    must(ndl_file_read(&text, &n, path, 1 << 20));
    for (int i = 7; i >= 0; i--) header = header << 8 | (unsigned char)text[i];
    assert_int_equal(header % 8, 0);
    static const char start[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"model.embed_tokens.weight\":"
        "{\"dtype\":\"F32\",\"shape\":[50,24],\"data_offsets\":[0,4800]},"
        "\"model.layers.0.input_layernorm.weight\":{";
    assert_memory_equal(text + 8, start, sizeof start - 1);
    text[8 + header] = '\0';
    assert_non_null(strstr(text + 8, "\"model.norm.weight\":{\"dtype\":"
                                     "\"BF16\",\"shape\":[24],"));
    assert_null(strstr(strstr(text + 8, "model.norm.weight") + 1, "model."));
    free(text);
}

static void shards_hold_no_more_than_they_may(void **state)
{
    (void)state;
    kit_checkpoint c;
    ndl_safetensors *s = NULL;
    kit_llama(&c, "model.", false, false);
    kit_write_single(&c, source.path);
    write_texts(KIT_LLAMA_CONFIG);
    import_as(NULL);
    must(ndl_export(first, target.path, 9000, NULL, NULL));
    must(ndl_safetensors_open(&s, target.path));
    const ndl_tensor_list *list = ndl_safetensors_list(s);
    uint64_t sums_of[64] = { 0 };
    int n_files = 0;
    for (size_t i = 0; i < list->n; i++) {
        const int file = list->items[i].file;
        sums_of[file] += list->items[i].bytes;
        if (file >= n_files) n_files = file + 1;
    }
    for (int i = 0; i < n_files; i++) assert_in_range(sums_of[i], 1, 9000);
    assert_in_range(n_files, 4, 12);
    assert_false(kit_exists(target.path, "model.safetensors"));
    ndl_safetensors_close(&s);
}

/* Random weights of a config, as synth writes them. */
static void synth(const char *config, ndl_dtype dtype)
{
    ndl_random_weights w = { .seed = 3 };
    ndl_tokenizer *t = NULL;
    ndl_source from;
    must(ndl_model_parse(&w.model, config, strlen(config), NULL, 0, "config"));
    must(ndl_tokenizer_parse(&t, TOKENIZER, strlen(TOKENIZER), "tokenizer"));
    ndl_random_weights_source(&w, &from);
    const ndl_pack_meta meta = { .source = "tiny", .config = config };
    const ndl_assembly a = { .model = &w.model,
                             .mix = ndl_mix_plain(dtype),
                             .source = &from,
                             .meta = &meta,
                             .tokenizer = t };
    must(ndl_assemble(first, &a));
    ndl_tokenizer_destroy(&t);
}

static void synth_exports_with_the_names_of_its_family(void **state)
{
    (void)state;
    static const struct {
        const char *config, *matrix;
    } kinds[] = { { KIT_GPT2_CONFIG, "transformer.h.1.attn.c_attn.weight" },
                  { KIT_LLAMA_CONFIG, "model.layers.1.mlp.up_proj.weight" },
                  { KIT_QWEN2_CONFIG, "model.layers.0.self_attn.k_proj.bias" },
                  { KIT_LLAMA_CONFIG, "lm_head.weight" } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const bool is_vector = strstr(kinds[i].matrix, "bias") != NULL;
        for (int d = NDL_F32; d <= NDL_BF16; d++) {
            synth(kinds[i].config, (ndl_dtype)d);
            must(ndl_checkpoint_export(first, target.path, NULL, NULL));
            assert_string_equal(dtype_of(kinds[i].matrix),
                                d == NDL_BF16 && !is_vector ? "BF16" : "F32");
            check_again();
        }
    }
}

static ndl_status count_up(void *arg, uint64_t done, uint64_t all)
{
    uint64_t *last = arg;
    assert_true(done >= *last && done <= all);
    *last = done == all ? UINT64_MAX : done;
    return NDL_OK;
}

static void progress_rises_to_the_end(void **state)
{
    (void)state;
    uint64_t last = 0;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    kit_write_single(&c, source.path);
    write_texts(KIT_LLAMA_CONFIG);
    import_as(NULL);
    must(ndl_export(first, target.path, no_limit, count_up, &last));
    assert_true(last == UINT64_MAX);
}

#define IN_FOLDERS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDERS(gpt2_comes_back_in_every_dtype),
        IN_FOLDERS(gpt2_bare_names_and_an_untied_head_come_back),
        IN_FOLDERS(llama_comes_back_in_every_dtype),
        IN_FOLDERS(llama_bare_tied_with_biases_comes_back),
        IN_FOLDERS(llama_heads_of_every_order_come_back),
        IN_FOLDERS(qwen2_comes_back_in_every_dtype),
        IN_FOLDERS(tied_head_that_was_stored_twice_comes_back_once),
        IN_FOLDERS(mixed_dtypes_come_back_each_as_it_was),
        IN_FOLDERS(sharded_source_and_all_texts_come_back),
        IN_FOLDERS(long_transposed_matrix_comes_back),
        IN_FOLDERS(another_dtype_of_the_import_is_exported_as_stored),
        IN_FOLDERS(header_is_padded_and_in_order),
        IN_FOLDERS(shards_hold_no_more_than_they_may),
        IN_FOLDERS(synth_exports_with_the_names_of_its_family),
        IN_FOLDERS(progress_rises_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
