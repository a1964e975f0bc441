#!/usr/bin/env python3
"""How far is the measured time of a stage from what the plan expected?

    plan_error.py TOOL MODEL... [--np 2,3,4] [--rounds 3] [--at-most 0.10]

Each run probes (--plan measure), decodes eight sequences after prompts of 256
tokens, and writes metrics.h5; of every step the expected busy time stands
beside the measured one there.  Prints, per model, np, phase and stage, the
median of |expected - measured| / measured over the steps of all rounds, as
CSV.  Exits 1 if the median over all steps of np 2 and 3 is above --at-most.
"""
import argparse
import os
import statistics
import sys
import tempfile

import h5py

import tool_runs

PROMPTS, LENGTH, NEW = 8, 256, 64


def errors_of(path):
    """(phase, stage) -> list of relative errors, signed."""
    with h5py.File(path, "r") as f:
        steps = {name: column[:] for name, column in f["steps"].items()}
    found = {}
    for i, expected in enumerate(steps["expected_sec"]):
        if expected <= 0:
            continue
        phase = "decode" if steps["rows"][i] == steps["sequences"][i] \
            else "prompt"
        measured = steps["busy_sec"][i]
        found.setdefault((phase, int(steps["stage"][i])), []).append(
            (expected - measured) / measured)
    return found


def measure(tool, model, np, rounds, folder):
    found = {}
    prompts = os.path.join(folder, "prompts.txt")
    tool_runs.write_prompts(prompts, PROMPTS, LENGTH)
    for i in range(rounds):
        metrics = os.path.join(folder, f"{np}-{i}.h5")
        tool_runs.run(tool, np, [
            "-m", model, "--prompts", prompts, "-n", str(NEW),
            "--plan", "measure", "--metrics", metrics], 600)
        for key, errors in errors_of(metrics).items():
            found.setdefault(key, []).extend(errors)
    return found


def print_rows(model, np, found):
    for (phase, stage), errors in sorted(found.items()):
        sizes = [abs(e) for e in errors]
        middle = statistics.median(errors)
        print(f"{os.path.basename(model)},{np},{phase},{stage},{len(errors)},"
              f"{statistics.median(sizes):.4f},{middle:+.4f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("models", nargs="+")
    p.add_argument("--np", default="2,3,4")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--at-most", type=float, default=1e9)
    a = p.parse_args()
    tool_runs.print_provenance(
        workload=f"{PROMPTS} prompts of {LENGTH} tokens, {NEW} new each, "
        f"{a.rounds} rounds")
    print("model,np,phase,stage,steps,median_error,median_signed")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for model in a.models:
            for np in [int(n) for n in a.np.split(",")]:
                found = measure(a.tool, model, np, a.rounds, folder)
                print_rows(model, np, found)
                every = [abs(e) for errors in found.values() for e in errors]
                median = statistics.median(every)
                print(f"# {os.path.basename(model)} np {np}: median error "
                      f"{median:.4f}", flush=True)
                if np <= 3:
                    worst = max(worst, median)
    if worst > a.at_most:
        sys.exit(f"a median error of {worst:.3f} is above {a.at_most}")


if __name__ == "__main__":
    main()
