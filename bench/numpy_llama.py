"""Llama-style models in NumPy: checkpoints in and out, and a forward pass in
which every product may round its activations.
"""
import json
import os
import shutil
import struct

import numpy as np

PLAIN = {"hidden_act": "silu", "rope_scaling": None}
GROUPS = {"embed_tokens": "embed", "lm_head": "head", "q_proj": "qk",
          "k_proj": "qk", "v_proj": "v", "o_proj": "out", "gate_proj": "up",
          "up_proj": "up", "down_proj": "down"}


def group_of(name, config):
    """The group of a matrix as --keep names it; None of a vector."""
    group = GROUPS.get(name.split(".")[-2]) if "." in name else None
    if not name.endswith(".weight"):
        return None
    tied = config.get("tie_word_embeddings", False)
    return "head" if group == "embed" and tied else group


def rope_of(config):
    """What transformers 5 keeps of the rotation; else it is in `config`."""
    return config.get("rope_parameters") or {}


def is_plain(config):
    window = config.get("sliding_window") and config.get(
        "use_sliding_window", config["model_type"] != "qwen2")
    return (config["model_type"] in ("llama", "qwen2") and not window and
            rope_of(config).get("rope_type", "default") == "default" and
            all(config.get(k, v) == v for k, v in PLAIN.items()))


def load(folder):
    """(config, {name: f32 array}) of a folder with one safetensors file."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    if not is_plain(config):
        raise SystemExit(f"{folder}: no plain Llama or Qwen2: its forward "
                         "pass is not known here")
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        raw = data[8 + n + begin:8 + n + end]
        if t["dtype"] == "BF16":
            x = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
            x = x.view(np.float32)
        else:
            x = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[t["dtype"]])
        tensors[name] = x.astype(np.float32).reshape(t["shape"])
    return config, tensors


def save(folder, source, tensors):
    """A copy of the checkpoint `source` with these tensors, in f32."""
    os.makedirs(folder)
    for name in os.listdir(source):
        if name.endswith(".json") and "safetensors" not in name:
            shutil.copy(os.path.join(source, name), folder)
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape),
                        "data_offsets": [at, at + x.size * 4]}
        at += x.size * 4
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for x in tensors.values():
            f.write(x.astype("<f4").tobytes())


class Llama:
    """config, weights, and of each group what its activations become."""

    def __init__(self, config, weights, rounding):
        self.c, self.w, self.rounding = config, weights, rounding
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.heads)
        self.hd = config.get("head_dim") or \
            config["hidden_size"] // self.heads

    def norm(self, x, name):
        mean = (x * x).mean(-1, keepdims=True)
        return x / np.sqrt(mean + self.c["rms_norm_eps"]) * self.w[name]

    def product(self, x, name):
        w = self.w[name + ".weight"]
        y = self.rounding[group_of(name + ".weight", self.c)](x) @ w.T
        return y + self.w.get(name + ".bias", np.float32(0))

    def rotate(self, x):
        """(t, heads, hd), pairs half a head apart."""
        half = self.hd // 2
        theta = rope_of(self.c).get("rope_theta",
                                    self.c.get("rope_theta", 10000.0))
        angle = np.outer(np.arange(len(x)), theta ** (-np.arange(half) / half))
        cos = np.cos(angle).astype(np.float32)[:, None]
        sin = np.sin(angle).astype(np.float32)[:, None]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def attention(self, x, p):
        t = len(x)
        q, k, v = (self.product(x, f"{p}.{n}_proj").reshape(t, -1, self.hd)
                   for n in "qkv")
        q, k = self.rotate(q), self.rotate(k)
        k, v = (np.repeat(y, self.heads // self.kv_heads, 1) for y in (k, v))
        s = np.einsum("ihd,jhd->hij", q, k, optimize=True)
        s = s / np.float32(np.sqrt(self.hd))
        s = np.where(np.tri(t, dtype=bool), s, np.float32(-np.inf))
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        o = np.einsum("hij,jhd->ihd", s, v, optimize=True).reshape(t, -1)
        return self.product(o, p + ".o_proj")

    def mlp(self, x, p):
        gate = self.product(x, p + ".gate_proj")
        up = self.product(x, p + ".up_proj")
        return self.product(gate / (1 + np.exp(-gate)) * up, p + ".down_proj")

    def logits(self, ids):
        """(tokens, vocabulary)"""
        x = self.w["model.embed_tokens.weight"][ids]
        for i in range(self.c["num_hidden_layers"]):
            p = f"model.layers.{i}."
            y = self.norm(x, p + "input_layernorm.weight")
            x = x + self.attention(y, p + "self_attn")
            y = self.norm(x, p + "post_attention_layernorm.weight")
            x = x + self.mlp(y, p + "mlp")
        x = self.norm(x, "model.norm.weight")
        tied = self.c.get("tie_word_embeddings", False)
        return self.product(x, "model.embed_tokens" if tied else "lm_head")
