#!/usr/bin/env python3
"""Does a plan for unequal ranks gain what was predicted?  (emulated)

    emulate.py TOOL MODEL [--speeds 0.4,0.2,0.1] [--split 4,4,4] [--rounds 3]
               [--scale 0.5] [--within 0.05]

Ranks are slowed down by waiting, so that what they compute is a small share of
the time: --scale makes all of them slower still.  A is the equal split, B what
the probe and the strategy `throughput` give; both are measured and both get
their times from the probe.  Compared are the predicted and the measured gain of
B over A, each once the pipeline is full.  Runs are interleaved; CSV.
Exits 1 if they differ by more than --within of the prediction.
"""
import argparse
import os
import statistics
import sys
import tempfile

import h5py

import tool_runs

PROMPTS, SLOTS, LENGTH, NEW = 60, 6, 32, 1


def steady_rate(metrics):
    """Requests a second, from the moment when the pipeline was full."""
    with h5py.File(metrics, "r") as f:
        ends = sorted(f["requests"]["end_sec"][:])
    return (PROMPTS - SLOTS) / (ends[-1] - ends[SLOTS - 1])


def one(tool, model, speeds, folder, more):
    metrics = os.path.join(folder, "metrics.h5")
    prompts = os.path.join(folder, "prompts.txt")
    arguments = ["-m", model, "--prompts", prompts, "-n", str(NEW), "-np",
                 str(SLOTS), "-t", "1", "-b", str(LENGTH), "--metrics",
                 metrics, "--plan", "measure"] + more
    for rank, speed in enumerate(speeds, 1):
        arguments += ["--emulate", f"rank={rank},speed={speed:g}"]
    done = tool_runs.run(tool, len(speeds) + 1, arguments, 900)
    return steady_rate(metrics), done["plan"]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("model")
    p.add_argument("--speeds", default="0.4,0.2,0.1")
    p.add_argument("--split", default="4,4,4")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=0.5)
    p.add_argument("--within", type=float, default=1e9)
    a = p.parse_args()
    speeds = [a.scale * float(s) for s in a.speeds.split(",")]
    ways = {"equal": ["--split", a.split], "planned": []}
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        tool_runs.write_prompts(os.path.join(folder, "prompts.txt"), PROMPTS,
                                LENGTH)
        for _ in range(a.rounds):
            rounds.append({way: one(a.tool, a.model, speeds, folder, more)
                           for way, more in ways.items()})
    tool_runs.print_provenance(
        emulated=f"ranks 1..{len(speeds)} at speeds "
        + ":".join(f"{s:g}" for s in speeds),
        model=os.path.basename(a.model),
        workload=f"{PROMPTS} prompts of {LENGTH} tokens, {SLOTS} at a time, "
        f"{NEW} new each, {a.rounds} rounds, interleaved")
    print("round,way,blocks,predicted_requests_per_sec,"
          "measured_requests_per_sec")
    for number, runs in enumerate(rounds, 1):
        for way, (rate, plan) in runs.items():
            blocks = "+".join(str(s["n_layers"]) for s in plan["stages"])
            print(f"{number},{way},{blocks},{1 / plan['period_sec']:.4f},"
                  f"{rate:.4f}")
    predicted = statistics.median(r["equal"][1]["period_sec"] /
                                  r["planned"][1]["period_sec"] for r in rounds)
    measured = statistics.median(r["planned"][0] / r["equal"][0]
                                 for r in rounds)
    print(f"# median gain predicted {predicted:.3f}, measured {measured:.3f}")
    if abs(measured / predicted - 1) > a.within:
        sys.exit(f"measured and predicted gain differ by more than {a.within}")


if __name__ == "__main__":
    main()
