"""The tensors of a weights file whose matrices are all quantised, as its
checkpoint had them: panels undone, integers times scales, rows in their old
order, in f32.  How they lie is told in noodle/weights.h and kernels/products.h.
"""
import json

import h5py
import numpy as np

LANES = 16


def from_cells(x):
    """[panels][k / 4][16][4] to (rows, k)."""
    return x.transpose(0, 2, 1, 3).reshape(len(x) * LANES, -1)


def integers(x, dtype):
    """(rows, k) of one dataset of quants."""
    if dtype == b"int8":
        return from_cells(x).astype(np.float32) - 128
    halves = np.stack([x & 15, x >> 4], 2)  # of a block: k and k + 16
    return from_cells(halves.reshape(len(x), -1, LANES, 4)).astype(
        np.float32) - 8


def matrix(data, scales):
    """(rows, cols) of a dataset in panels."""
    s = scales[()].view(np.float16).astype(np.float32)
    s = s.transpose(0, 2, 1).reshape(len(s) * LANES, -1)
    rows = integers(data[()], data.attrs["dtype"])
    rows = rows * np.repeat(s, data.attrs["block"], 1)
    return rows[:data.attrs["rows"], :data.attrs["cols"]]


def unpair(x, hd):
    """Rows of q or k as before the pairs of RoPE were put 16 rows apart."""
    tail = x.shape[1:]
    x = x.reshape(-1, hd // 32, 2, LANES, *tail)
    return x.swapaxes(1, 2).reshape(-1, *tail)


def split(x, order, sources, config):
    """The tensors that were joined to one."""
    if order == b"alternate16":
        x = x.reshape(-1, 2, LANES, *x.shape[1:])
        return [x[:, i].reshape(-1, *x.shape[3:]) for i in (0, 1)]
    if len(sources) == 1:
        return [x]
    heads = config["num_attention_heads"]
    kv = config.get("num_key_value_heads", heads)
    hd = config.get("head_dim") or config["hidden_size"] // heads
    parts = np.split(x, np.cumsum([heads * hd, kv * hd]))[:len(sources)]
    if order == b"rope16":
        parts[:2] = [unpair(y, hd) for y in parts[:2]]
    return parts


def load(path):
    """{name: f32 array}"""
    found = {}
    with h5py.File(path) as f:
        config = json.loads(f.attrs["config"])

        def take(name, item):
            if item.attrs.get("layout") not in (b"panels", b"vector"):
                return
            panels = item.attrs["layout"] == b"panels"
            x = matrix(item, f[name + "_scale"]) if panels else item[()]
            sources = json.loads(item.attrs["sources"])
            parts = split(x, item.attrs["order"], sources, config)
            found.update(zip(sources, parts))
        f.visititems(take)
    return found
