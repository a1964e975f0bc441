/*
 * profile.c - profile.h: what a profile is valid for, and its end of life.
 *
 * A signature is an object of readable texts, so that a refusal can say what
 * differs without knowing what the fields mean.
 */
#define _GNU_SOURCE /* open_memstream */
#include "noodle/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "noodle/hash.h"
#include "noodle/version.h"

/* Lists of thousands of hosts would fill an attribute: past this many bytes a
 * hash of the whole takes the place of the tail. */
enum { MAX_LIST = 1000, MAX_SHOWN = 64, MAX_ITEM = 72, MAX_DIFFERENCES = 600 };

void ndl_profile_fini(ndl_profile *p)
{
    json_decref(p->signature);
    free(p->ranks);
    free(p->links);
    *p = (ndl_profile){ 0 };
}

/* ---- signature ---- */

/* One rank's part of a list, as printable ASCII whatever a host is called. */
typedef void item_fn(char *out, const ndl_profile_rank *r);

static void host_item(char *out, const ndl_profile_rank *r)
{
    int n = 0;
    for (; n < NDL_PROFILE_HOST && r->host[n]; n++)
        out[n] = r->host[n] > ' ' && r->host[n] < 127 ? r->host[n] : '?';
    out[n] = '\0';
}

static void threads_item(char *out, const ndl_profile_rank *r)
{
    snprintf(out, MAX_ITEM, "%" PRId32, r->n_threads);
}

static void speed_item(char *out, const ndl_profile_rank *r)
{
    snprintf(out, MAX_ITEM, "%g", r->speed);
}

static void put_item(FILE *f, const char *item, int times, bool first)
{
    fprintf(f, "%s%s", first ? "" : ", ", item);
    if (times > 1) fprintf(f, " x%d", times);
}

/* "a, b x3": in rank order, repetitions counted. */
static void put_list(FILE *f, const ndl_profile_facts *facts, item_fn *item)
{
    char last[MAX_ITEM] = "", now[MAX_ITEM];
    int times = 0;
    bool first = true;
    for (int i = 0; i < facts->n_ranks; i++) {
        item(now, &facts->ranks[i]);
        if (times > 0 && strcmp(now, last) != 0) {
            put_item(f, last, times, first);
            first = false;
            times = 0;
        }
        memcpy(last, now, sizeof last);
        times++;
    }
    if (times > 0) put_item(f, last, times, first);
}

static json_t *list_text(const ndl_profile_facts *facts, item_fn *item)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return NULL;
    put_list(f, facts, item);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    json_t *out;
    if (n <= MAX_LIST)
        out = json_string(text);
    else
        out = json_sprintf("%.*s ... #%016" PRIx64, MAX_LIST, text,
                           ndl_hash_bytes(text, n, 0));
    free(text);
    return out;
}

/* All that the time of a layer may depend on; ids of special tokens are not
 * among it. */
static uint64_t shape_hash(const ndl_model *m)
{
    char t[512];
    const int n = snprintf(
        t, sizeof t,
        "%s %d %d %d %d %d %d %d %d %d %.9g %d %d %.17g %.17g %.17g %.17g %d "
        "%d %d %d %d",
        m->arch, m->n_layers, m->width, m->n_heads, m->n_kv_heads, m->head_dim,
        m->ffn, m->vocab, m->context, (int)m->norm, (double)m->norm_eps,
        (int)m->mlp, (int)m->rope.kind, m->rope.theta, m->rope.factor,
        m->rope.low_freq_factor, m->rope.high_freq_factor,
        m->rope.original_context, m->tied, m->qkv_bias, m->out_bias,
        m->mlp_bias);
    return ndl_hash_bytes(t, (size_t)n, 0);
}

static json_t *shape_text(const ndl_model *m)
{
    return json_sprintf("%s of %d blocks, width %d, %d/%d heads of %d, ffn %d, "
                        "vocabulary %d, #%016" PRIx64,
                        m->arch, m->n_layers, m->width, m->n_heads,
                        m->n_kv_heads, m->head_dim, m->ffn, m->vocab,
                        shape_hash(m));
}

static json_t *flags_text(unsigned flags)
{
    const unsigned others = flags & ~(unsigned)NDL_CPU_AVX2;
    const char *avx2 = flags & NDL_CPU_AVX2 ? "avx2" : "";
    if (flags == 0) return json_string("none");
    if (others == 0) return json_string(avx2);
    return json_sprintf("%s%s%#x", avx2, *avx2 ? " " : "", others);
}

json_t *ndl_profile_signature(const ndl_profile_facts *f)
{
    char dtype[NDL_MIX_TEXT], kv[NDL_KV_TYPES_TEXT];
    ndl_mix_write(f->mix, dtype);
    ndl_kv_types_write(f->kv_types, kv);
    /* json_pack takes the references, also when it fails or one is NULL. */
    return json_pack("{ss so so ss so ss ss so so ss}", "version",
                     ndl_version(), "hosts", list_text(f, host_item),
                     "cpu_flags", flags_text(f->cpu_flags), "kernels",
                     f->kernels, "shape", shape_text(f->model), "dtype", dtype,
                     "kv_dtype", kv, "threads", list_text(f, threads_item),
                     "speeds", list_text(f, speed_item), "load", f->load);
}

/* ---- match ---- */

static const char *text_of(const json_t *signature, const char *key)
{
    const char *text = json_string_value(json_object_get(signature, key));
    return text ? text : "nothing";
}

/* Long texts are shown from shortly before the place where they differ. */
static void put_value(FILE *f, const char *text, size_t differs)
{
    const size_t skip = differs > MAX_SHOWN / 2 ? differs - MAX_SHOWN / 4 : 0;
    const char *at = text + (skip < strlen(text) ? skip : strlen(text));
    fprintf(f, "%s%.*s%s", skip ? "..." : "", MAX_SHOWN, at,
            strlen(at) > MAX_SHOWN ? "..." : "");
}

static void put_difference(FILE *f, const char *key, const char *then,
                           const char *now)
{
    size_t same = 0;
    while (then[same] && then[same] == now[same]) same++;
    fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", key);
    if (ftell(f) > MAX_DIFFERENCES) return; /* the message has an end too */
    fputs(" (then ", f);
    put_value(f, then, same);
    fputs(", now ", f);
    put_value(f, now, same);
    fputc(')', f);
}

/* What differs, for people; "" if nothing does. */
static char *differences(const json_t *then, const json_t *now)
{
    char *text = NULL;
    size_t n = 0;
    const char *key;
    json_t *value;
    FILE *f = open_memstream(&text, &n);
    if (!f) return NULL;
    json_object_foreach(
        (json_t *)now, key,
        value) if (strcmp(text_of(then, key), text_of(now, key)) != 0)
        put_difference(f, key, text_of(then, key), text_of(now, key));
    json_object_foreach((json_t *)then, key,
                        value) if (!json_object_get(now, key))
        put_difference(f, key, text_of(then, key), "nothing");
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}

ndl_status ndl_profile_match(const ndl_profile *p, const json_t *signature,
                             const char *path)
{
    char *text = differences(p->signature, signature);
    if (!text) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    ndl_status st = NDL_OK;
    if (*text)
        st = NDL_FAIL(NDL_ECONFIG,
                      "%s: was measured for something else: %s: measure again "
                      "with `noodle-mpi profile`",
                      path, text);
    free(text);
    return st;
}
