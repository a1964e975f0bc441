"""Matrices and activations as formats of blocks keep them, in NumPy.

A format takes rows (n, k) of f32 and returns what is left of them; blocks run
along k.  Q8_0 and Q4_0 are those of GGUF files: 32 values and an f16 scale.
"""
import numpy as np


def blocks_of(rows, block):
    """(n, blocks, block), the last one filled up with zeros."""
    n, k = rows.shape
    padded = np.zeros((n, -(-k // block) * block), np.float32)
    padded[:, :k] = rows
    return padded.reshape(n, -1, block)


def rows_of(blocks, k):
    return blocks.reshape(len(blocks), -1)[:, :k]


def inverse(d):
    return np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)


def stored(d):
    """A scale as f16 keeps it."""
    return d.astype(np.float16).astype(np.float32)


def half_away(x):
    return np.trunc(x + np.copysign(np.float32(0.5), x))


def q8_0(rows):
    """The scale puts the largest size at 127; integers are found before the
    scale is rounded."""
    b = blocks_of(rows, 32)
    d = np.abs(b).max(-1, keepdims=True) / np.float32(127)
    return rows_of(half_away(b * inverse(d)) * stored(d), rows.shape[1])


def q4_0(rows):
    """The scale puts the value of largest size at -8, whatever its sign."""
    b = blocks_of(rows, 32)
    at = np.abs(b).argmax(-1)[..., None]
    d = np.take_along_axis(b, at, -1) / np.float32(-8)
    q = np.clip(np.trunc(b * inverse(d) + np.float32(8.5)), 0, 15) - 8
    return rows_of(q.astype(np.float32) * stored(d), rows.shape[1])


def activations_q8(block):
    """As noodle-mpi rounds activations: blocks as those of the weights, the
    scale in f32, ties to even."""
    def rounded(rows):
        b = blocks_of(rows, block)
        m = np.abs(b).max(-1, keepdims=True)
        q = np.rint(b * (127 * inverse(m)))
        return rows_of(q * (m / np.float32(127)), rows.shape[1])
    return rounded


def exact(rows):
    return rows
