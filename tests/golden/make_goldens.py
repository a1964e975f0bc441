#!/usr/bin/env python3
"""Make the goldens anew from an independent forward pass.

    make_goldens.py REFERENCE.PY [CASE...]
    make_goldens.py REFERENCE.PY --search N [CASE...]

REFERENCE.PY is a module with load(folder) -> (config, weights) and
forward(config, weights, ids) -> logits; it computes in float64 here.  Kept are
CASE.npy, every fourth row of the logits and the last (float32), and what
goldens.json says: the deviation of all logits, the greedy ids, their closest
call (winner less runner-up, in deviations) and the SHA-256 of the weights.

--search tries N seeds and prints those with the widest closest call, for the
table in checkpoint.py.
"""
import importlib.util
import json
import os
import sys
import tempfile

import numpy as np

import checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
N_GREEDY = 64


def kept_rows(n):
    """Positions whose logits are kept."""
    return sorted({*range(0, n, 4), n - 1})


def load_reference(path):
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(reference, c):
    """All that is known of a case: logits and the entry of goldens.json."""
    with tempfile.TemporaryDirectory() as folder:
        digest = checkpoint.write(c, folder)
        config, weights = reference.load(folder)
    weights = {k: v.astype(np.float64) for k, v in weights.items()}
    ids = checkpoint.prompt_ids(c)
    logits = reference.forward(config, weights, ids)
    deviation, gap, out = float(logits.std()), np.inf, list(ids)
    row = logits[-1]
    for _ in range(N_GREEDY):
        best = np.sort(row)[-2:]
        gap = min(gap, (best[1] - best[0]) / deviation)
        out.append(int(row.argmax()))
        row = reference.forward(config, weights, out)[-1]
    return logits, {"sha256": digest, "deviation": deviation,
                    "range": float(logits.max() - logits.min()),
                    "closest_call": round(float(gap), 6),
                    "greedy": out[len(ids):]}


def search(reference, name, n):
    found = []
    for seed in range(1, n + 1):
        _, entry = run(reference, {**checkpoint.case(name), "seed": seed})
        kinds = len(set(entry["greedy"]))
        found.append((entry["closest_call"], kinds, seed))
    found.sort(reverse=True)
    print(name, *(f"seed {s}: {g:.4f} ({k} kinds)" for g, k, s in found[:4]),
          sep="  ", flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    reference, names = load_reference(sys.argv[1]), sys.argv[2:]
    if names[:1] == ["--search"]:
        for name in names[2:] or checkpoint.CASES:
            search(reference, name, int(names[1]))
        return
    path = os.path.join(HERE, "goldens.json")
    goldens = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            goldens = json.load(f)
    for name in names or checkpoint.CASES:
        logits, goldens[name] = run(reference, checkpoint.case(name))
        np.save(os.path.join(HERE, name + ".npy"),
                logits[kept_rows(len(logits))].astype(np.float32))
        print(name, "closest call", goldens[name]["closest_call"])
    with open(path, "w", encoding="utf-8") as f:
        lines = (f"{json.dumps(k)}: {json.dumps(goldens[k])}"
                 for k in checkpoint.CASES if k in goldens)
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
