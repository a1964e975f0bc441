#!/usr/bin/env python3
"""Write the small Hugging Face checkpoints that the golden tests run.

    checkpoint.py CASE DIR        config.json, tokenizer.json, *.safetensors
    checkpoint.py --list          the cases

The weights are a function of (seed, tensor name, index): integers from a hash,
scaled by one float32 product, so every machine writes the same bytes.  Their
scales spread the logits well: a wrong transpose, rotation or norm shows at
once, and greedy decoding has clear winners.
"""
import hashlib
import json
import math
import os
import struct
import sys

import numpy as np

BASE = dict(family="llama", layers=4, hidden=64, heads=4, kv_heads=2,
            head_dim=None, ffn=160, vocab=288, context=256, dtype="f32",
            tied=False, bias=False, llama3=False, v5=False, bare=False,
            shards=1, seed=1)

# Seeds are chosen by make_goldens.py --search: no close call among the greedy
# ids.
CASES = {
    "gpt2": dict(family="gpt2", ffn=256, kv_heads=4, tied=True, seed=12),
    "gpt2_bare": dict(family="gpt2", ffn=192, kv_heads=4, tied=True,
                      bare=True, seed=14),
    "llama": dict(seed=5),
    "llama_rope3_tied": dict(llama3=True, tied=True, seed=6),
    "llama_head_dim": dict(head_dim=32, seed=6),
    "llama_bias": dict(bias=True, seed=3),
    "llama_v5": dict(v5=True, llama3=True, seed=2),
    "llama_odd": dict(hidden=48, heads=3, kv_heads=1, ffn=100, vocab=263,
                      layers=3, seed=12),
    "llama_bf16": dict(dtype="bf16", seed=94),
    "llama_f16": dict(dtype="f16", tied=True, seed=14),
    "llama_sharded": dict(shards=3, kv_heads=4, seed=5),
    "qwen2": dict(family="qwen2", hidden=96, heads=3, kv_heads=1, seed=9),
    "qwen2_tied": dict(family="qwen2", tied=True, v5=True, seed=10),
}


def case(name):
    """The full description of a case."""
    return {**BASE, **CASES[name]}


def hashed(key, n):
    """n 64-bit words, a function of key and index alone (splitmix64)."""
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    z = np.arange(1, n + 1, dtype=np.uint64)
    z = np.uint64(start) + z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(key, shape, deviation, mean=0.0):
    """float32 values of the given mean and standard deviation."""
    n = math.prod(shape)
    whole = (hashed(key, n) >> np.uint64(40)).astype(np.int64) - (1 << 23)
    scale = np.float32(math.sqrt(3.0) * deviation / (1 << 23))
    x = whole.astype(np.float32) * scale + np.float32(mean)
    return x.reshape(shape)


def prompt_ids(c):
    """128 ids; the tests feed them to the model."""
    ids = hashed(f"{c['seed']}/prompt", 128) % np.uint64(c["vocab"])
    return [int(i) for i in ids]


def gpt2_tensors(c):
    """{name: (shape, deviation, mean)} as GPT2LMHeadModel has them."""
    d, ffn = c["hidden"], c["ffn"]
    pre = "" if c["bare"] else "transformer."
    last = 1.0 / math.sqrt(2 * c["layers"])
    t = {pre + "wte.weight": ((c["vocab"], d), 0.25, 0),
         pre + "wpe.weight": ((c["context"], d), 0.25, 0)}
    for i in range(c["layers"]):
        p = f"{pre}h.{i}."
        for n in ("ln_1", "ln_2"):
            t[p + n + ".weight"] = ((d,), 0.1, 1)
            t[p + n + ".bias"] = ((d,), 0.1, 0)
        # Conv1D keeps its matrix as (in, out).
        for n, rows, cols, gain in (("attn.c_attn", d, 3 * d, 1.5),
                                    ("attn.c_proj", d, d, 2 * last),
                                    ("mlp.c_fc", d, ffn, 1.5),
                                    ("mlp.c_proj", ffn, d, 3 * last)):
            t[p + n + ".weight"] = ((rows, cols), gain / math.sqrt(rows), 0)
            t[p + n + ".bias"] = ((cols,), 0.1, 0)
    t[pre + "ln_f.weight"] = ((d,), 0.1, 1)
    t[pre + "ln_f.bias"] = ((d,), 0.1, 0)
    return t


def llama_tensors(c):
    """{name: (shape, deviation, mean)} as LlamaForCausalLM has them, and
    Qwen2ForCausalLM, whose q, k and v have a bias."""
    d, ffn = c["hidden"], c["ffn"]
    hd = c["head_dim"] or d // c["heads"]
    last = 1.0 / math.sqrt(2 * c["layers"])
    t = {"model.embed_tokens.weight": ((c["vocab"], d), 0.25, 0)}
    for i in range(c["layers"]):
        p = f"model.layers.{i}."
        q, kv = c["heads"] * hd, c["kv_heads"] * hd
        for n, rows, cols, gain in (("self_attn.q_proj", q, d, 1.5),
                                    ("self_attn.k_proj", kv, d, 1.5),
                                    ("self_attn.v_proj", kv, d, 1.0),
                                    ("self_attn.o_proj", d, q, 2 * last),
                                    ("mlp.gate_proj", ffn, d, 1.5),
                                    ("mlp.up_proj", ffn, d, 1.0),
                                    ("mlp.down_proj", d, ffn, 3 * last)):
            t[p + n + ".weight"] = ((rows, cols), gain / math.sqrt(cols), 0)
            is_qkv = n.startswith("self_attn.") and "o_proj" not in n
            if (c["bias"] and n.startswith("self_attn.")
                    or c["family"] == "qwen2" and is_qkv):
                t[p + n + ".bias"] = ((rows,), 0.2, 0)
        t[p + "input_layernorm.weight"] = ((d,), 0.1, 1)
        t[p + "post_attention_layernorm.weight"] = ((d,), 0.1, 1)
    t["model.norm.weight"] = ((d,), 0.1, 1)
    if not c["tied"]:
        t["lm_head.weight"] = ((c["vocab"], d), 2.0 / math.sqrt(d), 0)
    return t


def config_json(c):
    """config.json in the words of transformers 4, or 5 where asked."""
    dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
    common = {"vocab_size": c["vocab"], "tie_word_embeddings": c["tied"],
              "bos_token_id": 256, "eos_token_id": 256,
              "dtype" if c["v5"] else "torch_dtype": dtype[c["dtype"]]}
    if c["family"] == "gpt2":
        return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
                "n_embd": c["hidden"], "n_head": c["heads"],
                "n_layer": c["layers"], "n_positions": c["context"],
                "n_ctx": c["context"], "layer_norm_epsilon": 1e-5,
                "n_inner": None if c["ffn"] == 4 * c["hidden"] else c["ffn"],
                "activation_function": "gelu_new", **common}
    qwen = c["family"] == "qwen2"
    j = {"architectures": ["Qwen2ForCausalLM" if qwen else "LlamaForCausalLM"],
         "model_type": c["family"],
         "hidden_size": c["hidden"], "intermediate_size": c["ffn"],
         "num_hidden_layers": c["layers"], "num_attention_heads": c["heads"],
         "num_key_value_heads": c["kv_heads"], "hidden_act": "silu",
         "max_position_embeddings": c["context"], "rms_norm_eps": 1e-5,
         "attention_bias": c["bias"], "mlp_bias": False, **common}
    theta = 10000.0
    if qwen:  # it says nothing of its biases, and of windows that it has not
        del j["attention_bias"], j["mlp_bias"]
        j.update(rms_norm_eps=1e-6, use_sliding_window=False,
                 sliding_window=32, max_window_layers=c["layers"] - 1)
        theta = 1000000.0
    if c["head_dim"]:
        j["head_dim"] = c["head_dim"]
    rope = {"rope_type": "default"}
    if c["llama3"]:
        rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32}
    if c["v5"]:
        j["rope_parameters"] = {"rope_theta": theta, **rope}
    else:
        j["rope_theta"] = theta
        j["rope_scaling"] = rope if c["llama3"] else None
    return j


def tokenizer_json(c):
    """One token a byte, no merges; the ids past 255 are special tokens."""
    plain = [b for b in range(256)
             if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = [b for b in range(256) if b not in plain]
    letters = {b: chr(b) for b in plain}
    letters.update({b: chr(256 + i) for i, b in enumerate(rest)})
    byte_level = {"type": "ByteLevel", "add_prefix_space": False,
                  "trim_offsets": True, "use_regex": True}
    special = [{"id": i, "content": f"<|{i}|>", "single_word": False,
                "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i in range(256, c["vocab"])]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": special, "normalizer": None,
            "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False,
                      "byte_fallback": False,
                      "vocab": {letters[b]: b for b in range(256)},
                      "merges": []}}


def encode(x, dtype):
    """The bytes of float32 values in a dtype; to nearest, ties to even."""
    if dtype == "bf16":
        u = x.view(np.uint32)
        odd = (u >> np.uint32(16)) & np.uint32(1)
        return ((u + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype("<u2")
    return x.astype({"f32": "<f4", "f16": "<f2"}[dtype])


def write_safetensors(path, blobs, dtype):
    """blobs: {name: (shape, bytes)}."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, data) in blobs.items():
        header[name] = {"dtype": dtype.upper(), "shape": list(shape),
                        "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in blobs.values():
            f.write(data)


def write(c, folder):
    """Write the checkpoint; return the SHA-256 of all tensors' bytes."""
    tensors = (gpt2_tensors if c["family"] == "gpt2" else llama_tensors)(c)
    blobs, digest = {}, hashlib.sha256()
    for name, (shape, deviation, mean) in tensors.items():
        x = uniform(f"{c['seed']}/{name}", shape, deviation, mean)
        blobs[name] = (shape, encode(x, c["dtype"]).tobytes())
        digest.update(blobs[name][1])
    os.makedirs(folder, exist_ok=True)

    def put(name, j):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(j, f, indent=1)

    put("config.json", config_json(c))
    put("tokenizer.json", tokenizer_json(c))
    n, names = c["shards"], list(blobs)
    if n == 1:
        write_safetensors(os.path.join(folder, "model.safetensors"), blobs,
                          c["dtype"])
        return digest.hexdigest()
    files = [f"model-{i + 1:05d}-of-{n:05d}.safetensors" for i in range(n)]
    where = {t: files[i % n] for i, t in enumerate(names)}
    for f in files:
        part = {t: blobs[t] for t in names if where[t] == f}
        write_safetensors(os.path.join(folder, f), part, c["dtype"])
    total = sum(len(data) for _, data in blobs.values())
    put("model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": where})
    return digest.hexdigest()


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
    elif len(sys.argv) == 3 and sys.argv[1] in CASES:
        print(write(case(sys.argv[1]), sys.argv[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
