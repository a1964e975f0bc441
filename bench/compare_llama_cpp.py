#!/usr/bin/env python3
"""Our `bench` against llama-bench of builds that you made, same shape, same
threads, interleaved.

    compare_llama_cpp.py TOOL --rival NAME=LLAMA_BENCH[,FLAG,...] [...]
        [--shape tinyllama-1.1b] [--dtypes int8,int4,bf16,f32] [-t 1,2]
        [-p 512] [-n 128] [--rounds 5] [--folder DIR]

Makes random weights of the shape for both sides (int8 is compared with Q8_0,
int4 with Q4_0), runs prompt and decode of each side in turn, one repetition
a run, and prints the medians of tokens/s and our ratio to each rival as CSV.
A rival's flags follow its path: --rival ik=/path/llama-bench,-rtr,1,-fa,1
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import gguf_random
import tool_runs

RIVAL_TYPES = {"int8": "q8_0", "int4": "q4_0", "bf16": "bf16", "f32": "f32"}


def run(command):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, timeout=1800)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)


def rates(rows):
    """{"pp512": tokens/s, "tg128": ...} of one run's rows."""
    out = {}
    for row in rows:
        if row["n_prompt"] and not row["n_gen"]:
            out[f"pp{row['n_prompt']}"] = row["avg_ts"]
        if row["n_gen"] and not row["n_prompt"]:
            out[f"tg{row['n_gen']}"] = row["avg_ts"]
    return out


def parse_rival(text):
    name, _, rest = text.partition("=")
    path, *flags = rest.split(",")
    if not os.access(path, os.X_OK):
        sys.exit(f"--rival {text}: {path} cannot be run: give NAME=PATH of a "
                 "llama-bench that you built")
    return name, path, flags


def compare(a, dtype, threads, folder):
    ours = os.path.join(folder, f"{a.shape}-{dtype}.h5")
    theirs = os.path.join(folder, f"{a.shape}-{RIVAL_TYPES[dtype]}.gguf")
    if not os.path.exists(ours):
        made = subprocess.run([a.tool, "synth", a.shape, "--dtype", dtype,
                               "-o", ours], stderr=subprocess.PIPE)
        if made.returncode != 0:
            sys.exit(made.stderr.decode())
    if not os.path.exists(theirs):
        gguf_random.write(theirs, a.shape, RIVAL_TYPES[dtype])
    work = ["-p", str(a.p), "-n", str(a.n), "-t", str(threads), "-r", "1",
            "-o", "json"]
    sides = {"noodle-mpi": [a.tool, "bench", "-m", ours, *work]}
    for name, path, flags in a.rivals:
        sides[name] = [path, "-m", theirs, *work, *flags]
    seen = {name: {} for name in sides}
    for _ in range(a.rounds):
        for name, command in sides.items():
            for test, rate in rates(run(command)).items():
                seen[name].setdefault(test, []).append(rate)
    for test in seen["noodle-mpi"]:
        mid = {name: statistics.median(s[test]) for name, s in seen.items()}
        for name, _, _ in a.rivals:
            print(f"{a.shape},{dtype},{threads},{test},{name},"
                  f"{mid['noodle-mpi']:.2f},{mid[name]:.2f},"
                  f"{mid['noodle-mpi'] / mid[name]:.3f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("--rival", action="append", required=True)
    p.add_argument("--shape", default="tinyllama-1.1b",
                   choices=sorted(gguf_random.SHAPES))
    p.add_argument("--dtypes", default="int8,int4,bf16")
    p.add_argument("-t", default="1,2")
    p.add_argument("-p", type=int, default=512)
    p.add_argument("-n", type=int, default=128)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--folder", help="keep the weights here")
    a = p.parse_args()
    a.rivals = [parse_rival(r) for r in a.rival]
    tool_runs.print_provenance(
        rivals="; ".join(f"{name}: llama-bench {' '.join(flags)}"
                         for name, _, flags in a.rivals),
        rounds=f"{a.rounds}, interleaved, medians")
    print("shape,dtype,threads,test,rival,ours_tokens_per_sec,"
          "rival_tokens_per_sec,ratio")
    with tempfile.TemporaryDirectory() as temporary:
        for dtype in a.dtypes.split(","):
            for threads in a.t.split(","):
                compare(a, dtype, int(threads), a.folder or temporary)


if __name__ == "__main__":
    main()
