/* fuzz_tokenizer.c - hostile tokenizer.json, then encode and decode with it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "noodle/status.h"
#include "noodle/tokenizer.h"

/* Whatever the file says, encoding may fail but ids and text must be sane. */
static void round_trip(const ndl_tokenizer *t, const char *text, bool special)
{
    int32_t *ids = NULL;
    size_t n = 0, n_back = 0;
    char *back = NULL;
    if (ndl_tokenizer_encode(t, text, strlen(text), special, &ids, &n) !=
        NDL_OK)
        return;
    for (size_t i = 0; i < n; i++)
        NDL_ASSERT(ids[i] >= 0 && ids[i] < ndl_tokenizer_size(t));
    if (ndl_tokenizer_decode(t, ids, n, special, &back, &n_back) == NDL_OK)
        NDL_ASSERT(strlen(back) <= n_back);
    free(back);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {
        "", " ", "Hello, world's 123  end\n\n", "<s>a</s> b<|endoftext|>",
        "e\xcc\x81\xf0\x9f\xa6\x99\xe2\x96\x81 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    ndl_tokenizer *t = NULL;
    if (ndl_tokenizer_parse(&t, (const char *)data, size, "fuzz") == NDL_OK) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            round_trip(t, texts[i], false);
            round_trip(t, texts[i], true);
        }
    }
    ndl_tokenizer_destroy(&t);
    ndl_status_clear();
    return 0;
}
