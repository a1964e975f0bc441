#!/usr/bin/env python3
"""Compare what noodle-mpi computes with the goldens beside this file.

    golden.py TOOL WORKDIR CASE...

For each case: write the checkpoint, import it, compare the logits of 128
positions and 64 greedy ids.  Exit 77 where numpy is missing.
"""
import json
import os
import shutil
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

import checkpoint
from make_goldens import HERE, N_GREEDY, kept_rows

# Bounds: float32 arithmetic in shares of the logits' standard deviation;
# bfloat16 arithmetic in shares of their range.
F32_BOUND = 1e-4
BF16_BOUND = 2e-2


def call(*args):
    # The leak checker crashes now and then beside the daemon that Open MPI
    # starts for a program without a launcher.
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    done = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=False,
                          env=env)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)[:200]}: exit {done.returncode}")
    return done.stdout


def check(tool, folder, name, golden):
    """Run one case; return a line about it and whether it holds."""
    c = checkpoint.case(name)
    source = os.path.join(folder, name)
    weights, out = source + ".h5", source + ".logits.npy"
    digest = checkpoint.write(c, source)
    if digest != golden["sha256"]:
        return "the checkpoint is not the one of the golden", False
    is_bf16 = c["dtype"] == "bf16"
    call(tool, "import", source, "-o", weights,
         "--dtype", "bf16" if is_bf16 else "f32")
    ids = ",".join(map(str, checkpoint.prompt_ids(c)))
    call(tool, "logits", "-m", weights, "--ids", ids, "-o", out)
    got = np.load(out)
    want = np.load(os.path.join(HERE, name + ".npy"))
    if got.dtype != np.float32 or got.shape != (128, c["vocab"]):
        return f"logits are {got.dtype} {got.shape}", False
    error = np.abs(got[kept_rows(len(got))].astype(np.float64) - want).max()
    scale = golden["range" if is_bf16 else "deviation"]
    bound = BF16_BOUND if is_bf16 else F32_BOUND
    said = call(tool, "run", "-m", weights, "--prompt-ids", ids,
                "-n", str(N_GREEDY), "--temp", "0", "--ignore-eos", "--json",
                "--metrics", "off")
    greedy = json.loads(said)["ids"]
    same = 0
    while same < len(greedy) and greedy[:same + 1] == \
            golden["greedy"][:same + 1]:
        same += 1
    text = f"error {error / scale:.2e} of {bound:.0e}, " \
           f"{same} of {N_GREEDY} greedy ids"
    return text, bool(error <= bound * scale) and greedy == golden["greedy"]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    tool, folder = sys.argv[1:3]
    with open(os.path.join(HERE, "goldens.json"), encoding="utf-8") as f:
        goldens = json.load(f)
    n_failed = 0
    os.makedirs(folder, exist_ok=True)
    for name in sys.argv[3:] or checkpoint.CASES:
        try:
            text, holds = check(tool, folder, name, goldens[name])
        except (RuntimeError, OSError, ValueError, KeyError) as e:
            text, holds = f"{type(e).__name__}: {e}", False
        print(f"{name:18} {'ok  ' if holds else 'FAIL'} {text}", flush=True)
        n_failed += not holds
        if holds:
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
