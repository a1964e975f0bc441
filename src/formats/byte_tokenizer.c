/* byte_tokenizer.c - see byte_tokenizer.h. */
#include "byte_tokenizer.h"

#include <stdbool.h>

#include "noodle/json.h"

/* Byte-level tokenizers write each byte as one character: printable Latin-1
 * as itself, the others, in order, from U+0100 on. */
static bool is_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
           byte >= 0xae;
}

/* All code points here are below U+0800: one or two bytes. */
static void put_utf8(char out[3], int code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        out[1] = '\0';
        return;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    out[2] = '\0';
}

static json_t *byte_vocab(void)
{
    json_t *vocab = json_object();
    int next = 0x100;
    for (int b = 0; vocab && b < 256; b++) {
        char text[3];
        put_utf8(text, is_itself(b) ? b : next++);
        if (json_object_set_new(vocab, text, json_integer(b)) != 0) {
            json_decref(vocab);
            vocab = NULL;
        }
    }
    return vocab;
}

char *ndl_byte_tokenizer(void)
{
    char *text = NULL;
    json_t *j = json_pack(
        "{s:s, s:[], s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:b, s:b, s:b},"
        " s:{s:s, s:b, s:o, s:[]}}",
        "version", "1.0", "added_tokens", "normalizer", "pre_tokenizer", "type",
        "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1,
        "post_processor", "decoder", "type", "ByteLevel", "add_prefix_space", 0,
        "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE",
        "byte_fallback", 0, "vocab", byte_vocab(), "merges");
    if (j) text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}
