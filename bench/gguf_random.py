"""A GGUF file of random numbers in the shape of a model, for rivals' benches.

The format as its specification has it (version 3): header, key-value pairs,
tensor table, data aligned to 32 bytes.  Benches draw ids and need no
vocabulary; a server does, which write() can add.

    gguf_random.py SHAPE DTYPE FILE

DTYPE is f32, bf16, q8_0, q4_0, or q4_0+q8_0: as q4_0, but the head, and v
where it is a matrix of its own, at q8_0.
"""
import os
import struct
import sys

import numpy as np

ALIGNMENT = 32
KEY_U32, KEY_I32, KEY_F32, KEY_STRING, KEY_ARRAY = 4, 5, 6, 8, 9
CHUNK = 1 << 24  # values that are drawn at a time
# name: (number in the file, values of a block, bytes of a block)
TYPES = {"f32": (0, 1, 4), "bf16": (30, 1, 2), "q8_0": (8, 32, 34),
         "q4_0": (2, 32, 18)}
# What the file says that it is made of.
FILE_TYPES = {"f32": 0, "q4_0": 2, "q8_0": 7, "bf16": 32, "q4_0+q8_0": 2}
SHAPES = {
    "gpt2-124m": dict(arch="gpt2", layers=12, width=768, heads=12, kv=12,
                      ffn=3072, vocab=50257, context=1024, tied=True),
    "tinyllama-1.1b": dict(arch="llama", layers=22, width=2048, heads=32, kv=4,
                           ffn=5632, vocab=32000, context=2048, tied=False),
    "llama-3.2-1b": dict(arch="llama", layers=16, width=2048, heads=32, kv=8,
                         ffn=8192, vocab=128256, context=131072, tied=True),
}


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def array(values):
    """Of strings, floats or integers."""
    if isinstance(values[0], str):
        kind, data = KEY_STRING, b"".join(map(string, values))
    else:
        kind, letter = ((KEY_F32, "f") if isinstance(values[0], float) else
                        (KEY_I32, "i"))
        data = struct.pack(f"<{len(values)}{letter}", *values)
    return struct.pack("<IQ", kind, len(values)) + data


def pair(key, value):
    if isinstance(value, list):
        return string(key) + struct.pack("<I", KEY_ARRAY) + array(value)
    if isinstance(value, str):
        return string(key) + struct.pack("<I", KEY_STRING) + string(value)
    if isinstance(value, float):
        return string(key) + struct.pack("<If", KEY_F32, value)
    return string(key) + struct.pack("<II", KEY_U32, value)


def keys(name, s, dtype):
    arch = s["arch"]
    out = {"general.architecture": arch, "general.name": name,
           "general.file_type": FILE_TYPES[dtype],
           "general.alignment": ALIGNMENT, "tokenizer.ggml.model": "no_vocab",
           f"{arch}.vocab_size": s["vocab"],
           f"{arch}.context_length": s["context"],
           f"{arch}.embedding_length": s["width"],
           f"{arch}.block_count": s["layers"],
           f"{arch}.feed_forward_length": s["ffn"],
           f"{arch}.attention.head_count": s["heads"],
           f"{arch}.attention.head_count_kv": s["kv"]}
    if arch == "llama":
        out["llama.attention.layer_norm_rms_epsilon"] = 1e-5
        out["llama.rope.dimension_count"] = s["width"] // s["heads"]
    else:
        out["gpt2.attention.layer_norm_epsilon"] = 1e-5
    return out


def vocabulary(count):
    """Three control tokens, the bytes, and words, of no language."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    tokens += [f"\u2581w{i}" for i in range(len(tokens), count)]
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": [float(-i) for i in range(count)],
            "tokenizer.ggml.token_type": kinds + [1] * (count - len(kinds)),
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2}


def tensors(s):
    """(name, columns, rows or 0 for a vector), in the file's order.  The head
    of gpt2 is written out: not every reader takes the embedding for it."""
    d, f = s["width"], s["ffn"]
    gpt2 = s["arch"] == "gpt2"
    kv = d // s["heads"] * s["kv"]
    yield "token_embd.weight", d, s["vocab"]
    if gpt2:
        yield "position_embd.weight", d, s["context"]
    for i in range(s["layers"]):
        at = f"blk.{i}."
        if gpt2:
            matrices = [("attn_qkv", d, d + 2 * kv), ("attn_output", d, d),
                        ("ffn_up", d, f), ("ffn_down", f, d)]
        else:
            matrices = [("attn_q", d, d), ("attn_k", d, kv), ("attn_v", d, kv),
                        ("attn_output", d, d), ("ffn_gate", d, f),
                        ("ffn_up", d, f), ("ffn_down", f, d)]
        for norm in ("attn_norm", "ffn_norm"):
            yield f"{at}{norm}.weight", d, 0
            if gpt2:
                yield f"{at}{norm}.bias", d, 0
        for name, columns, rows in matrices:
            yield f"{at}{name}.weight", columns, rows
            if gpt2:
                yield f"{at}{name}.bias", rows, 0
    yield "output_norm.weight", d, 0
    if gpt2:
        yield "output_norm.bias", d, 0
    if head_of(s) == "output.weight":
        yield "output.weight", d, s["vocab"]


def data(kind, count, rng):
    """`count` random values of about 0.02 in size."""
    _, block, size = TYPES[kind]
    if kind == "f32":
        return (rng.standard_normal(count, dtype=np.float32) * 0.02).tobytes()
    if kind == "bf16":
        x = rng.standard_normal(count, dtype=np.float32) * np.float32(0.02)
        return (x.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    raw = rng.integers(0, 256, (count // block, size), dtype=np.uint8)
    scale = np.float16(2e-4 if kind == "q8_0" else 3e-3)
    raw[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
    return raw.tobytes()


def head_of(s):
    """The name of the matrix that makes the logits."""
    if s["arch"] == "gpt2" or not s["tied"]:
        return "output.weight"
    return "token_embd.weight"


def kind_of(name, rows, s, dtype):
    if rows == 0 or name.startswith("position"):
        return "f32"
    if dtype == "q4_0+q8_0":
        is_kept = name == head_of(s) or "attn_v." in name
        return "q8_0" if is_kept else "q4_0"
    return dtype


def lay_out(s, dtype):
    """The tensor table, and (kind, count) of each tensor in it."""
    table, offset, plan = b"", 0, []
    for tensor, columns, rows in tensors(s):
        kind = kind_of(tensor, rows, s, dtype)
        dims = [columns, rows] if rows else [columns]
        number, block, size = TYPES[kind]
        count = columns * (rows or 1)
        table += string(tensor) + struct.pack("<I", len(dims))
        table += struct.pack(f"<{len(dims)}Q", *dims)
        table += struct.pack("<IQ", number, offset)
        nbytes = count // block * size
        plan.append((kind, count))
        offset += (nbytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    return table, plan


def write(path, name, dtype, has_vocabulary=False):
    """The file has its name only when it is whole.

    @param has_vocabulary  for programs that make text of ids.
    """
    s = SHAPES[name]
    rng = np.random.default_rng(1)
    table, plan = lay_out(s, dtype)
    known = keys(name, s, dtype)
    if has_vocabulary:
        known.update(vocabulary(s["vocab"]))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(plan), len(known))
    head += b"".join(pair(k, v) for k, v in known.items()) + table
    with open(path + ".part", "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT))
        for kind, count in plan:
            for at in range(0, count, CHUNK):
                f.write(data(kind, min(CHUNK, count - at), rng))
            f.write(bytes(-f.tell() % ALIGNMENT))
    os.replace(path + ".part", path)


def main():
    if (len(sys.argv) != 4 or sys.argv[1] not in SHAPES or
            sys.argv[2] not in FILE_TYPES):
        sys.exit(__doc__ + f"shapes: {', '.join(SHAPES)}")
    write(sys.argv[3], sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
