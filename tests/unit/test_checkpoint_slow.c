/*
 * test_checkpoint_slow.c - facts about checkpoint.h that need large files:
 * how much memory an import takes, and that a seed decides a whole file.
 */
#include "noodle/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/tensor_kit.h"
#include "noodle/file.h"
#include "noodle/hash.h"
#include "noodle/tokenizer.h"
#include "noodle/weights.h"

/* A sanitizer's own memory would be measured. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

static test_folder folder;
static char out[400];

static int setup(void **state)
{
    (void)state;
    ndl_status_clear();
    if (test_folder_make(&folder) != 0) return -1;
    kit_path(out, folder.path, "weights.h5");
    kit_write_text(folder.path, "tokenizer.json",
                   "{\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                   "\"add_prefix_space\":false},\"decoder\":{\"type\":"
                   "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":"
                   "{\"a\":0,\"b\":1},\"merges\":[]}}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static long peak_kb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* Import in a child, so that its peak is its own.  @return MB of growth. */
static long import_growth_mb(ndl_dtype dtype)
{
    const ndl_mix mix = ndl_mix_plain(dtype);
    int pipes[2];
    long grown_kb = -1;
    assert_int_equal(pipe(pipes), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const long before = peak_kb();
        const ndl_status st =
            ndl_checkpoint_import(folder.path, out, &mix, NULL, NULL);
        if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
        grown_kb = peak_kb() - before;
        const ssize_t n = write(pipes[1], &grown_kb, sizeof grown_kb);
        _exit(st == NDL_OK && n == (ssize_t)sizeof grown_kb ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipes[0], &grown_kb, sizeof grown_kb),
                     sizeof grown_kb);
    close(pipes[0]);
    close(pipes[1]);
    printf("import grew by %ld MB\n", grown_kb / 1024);
    return grown_kb / 1024;
}

/* c_fc and c_proj have 2048 * 25600 * 4 = 210 MB each. */
static void import_of_transposed_tensors_keeps_one_in_memory(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    kit_checkpoint c = { .n = 0 };
    kit_add(&c, "wte.weight", 16, 2048);
    kit_add(&c, "wpe.weight", 16, 2048);
    kit_add(&c, "h.0.ln_1.weight", 2048, 0);
    kit_add(&c, "h.0.ln_1.bias", 2048, 0);
    kit_add(&c, "h.0.attn.c_attn.weight", 2048, 6144);
    kit_add(&c, "h.0.attn.c_attn.bias", 6144, 0);
    kit_add(&c, "h.0.attn.c_proj.weight", 2048, 2048);
    kit_add(&c, "h.0.attn.c_proj.bias", 2048, 0);
    kit_add(&c, "h.0.ln_2.weight", 2048, 0);
    kit_add(&c, "h.0.ln_2.bias", 2048, 0);
    kit_add(&c, "h.0.mlp.c_fc.weight", 2048, 25600);
    kit_add(&c, "h.0.mlp.c_fc.bias", 25600, 0);
    kit_add(&c, "h.0.mlp.c_proj.weight", 25600, 2048);
    kit_add(&c, "h.0.mlp.c_proj.bias", 2048, 0);
    kit_add(&c, "ln_f.weight", 2048, 0);
    kit_add(&c, "ln_f.bias", 2048, 0);
    kit_write_tensors(&c, 0, c.n, folder.path, "model.safetensors", true);
    kit_write_text(folder.path, "config.json",
                   "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":32,"
                   "\"n_embd\":2048,\"n_positions\":16,\"n_inner\":25600,"
                   "\"vocab_size\":16,\"layer_norm_epsilon\":1e-5}");
    const long largest = 2048l * 25600 * 4 >> 20;
    assert_in_range(import_growth_mb(NDL_BF16), largest, largest + 100);
}

/* The embedding has 25600 * 2048 * 4 = 210 MB and is read by ranges. */
static void import_of_other_tensors_keeps_none_in_memory(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    kit_checkpoint c = { .n = 0 };
    static const char *const linear[] = { "q", "k", "v", "o" };
    static const char *const mlp[] = { "gate", "up", "down" };
    char name[128];
    kit_add(&c, "model.embed_tokens.weight", 25600, 2048);
    kit_add(&c, "model.norm.weight", 2048, 0);
    kit_add(&c, "model.layers.0.input_layernorm.weight", 2048, 0);
    kit_add(&c, "model.layers.0.post_attention_layernorm.weight", 2048, 0);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "model.layers.0.self_attn.%s_proj.weight",
                 linear[i]);
        kit_add(&c, name, 2048, 2048);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "model.layers.0.mlp.%s_proj.weight",
                 mlp[i]);
        kit_add(&c, name, i < 2 ? 64 : 2048, i < 2 ? 2048 : 64);
    }
    kit_write_tensors(&c, 0, c.n, folder.path, "model.safetensors", true);
    kit_write_text(folder.path, "config.json",
                   "{\"model_type\":\"llama\",\"num_hidden_layers\":1,"
                   "\"hidden_size\":2048,\"num_attention_heads\":32,"
                   "\"intermediate_size\":64,\"vocab_size\":25600,"
                   "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6,"
                   "\"tie_word_embeddings\":true}");
    assert_in_range(import_growth_mb(NDL_BF16), 0, 60);
}

static uint64_t hash_of_file(void)
{
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(ndl_file_read(&bytes, &n, out, (size_t)1 << 30), NDL_OK);
    const uint64_t hash = ndl_hash_bytes(bytes, n, 0);
    free(bytes);
    return hash;
}

static void synth_with(uint64_t seed)
{
    if (ndl_checkpoint_synth("gpt2-124m", out, ndl_mix_plain(NDL_BF16), NULL,
                             seed, NULL, NULL) != NDL_OK)
        fail_msg("%s", ndl_status_message());
}

static void synth_equal_seeds_give_equal_files(void **state)
{
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1", 1);
    synth_with(5);
    const uint64_t first = hash_of_file();
    synth_with(5);
    assert_true(hash_of_file() == first);
    synth_with(6);
    assert_true(hash_of_file() != first);
}

static void synth_file_is_complete_and_has_a_tokenizer(void **state)
{
    (void)state;
    const ndl_part part = { 11, 1, true, true };
    ndl_weights *w = NULL;
    ndl_store *s = NULL;
    ndl_tokenizer *t = NULL;
    synth_with(1);
    assert_int_equal(ndl_weights_check(out, NULL, NULL), NDL_OK);
    assert_int_equal(ndl_weights_open(&w, out, &part, NULL), NDL_OK);
    assert_int_equal(ndl_weights_model(w)->vocab, 50257);
    assert_true(ndl_mix_equal(ndl_weights_mix(w), ndl_mix_plain(NDL_BF16)));
    ndl_weights_destroy(&w);
    assert_int_equal(ndl_store_open(&s, out), NDL_OK);
    assert_int_equal(ndl_tokenizer_load(&t, s), NDL_OK);
    assert_int_equal(ndl_tokenizer_size(t), 256);
    ndl_tokenizer_destroy(&t);
    ndl_store_close(&s);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(import_of_transposed_tensors_keeps_one_in_memory),
        IN_FOLDER(import_of_other_tensors_keeps_none_in_memory),
        IN_FOLDER(synth_equal_seeds_give_equal_files),
        IN_FOLDER(synth_file_is_complete_and_has_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
