#!/usr/bin/env python3
"""Does a plan for unequal ranks gain what was predicted?  (emulated)

    emulate.py TOOL MODEL [--speeds 0.4,0.2,0.1] [--split 4,4,4] [--rounds 3]
               [--within 0.05]

Ranks are slowed down by waiting, so that what they compute is a small share of
the time.  A is the equal split, B what the probe and the strategy `throughput`
give; both are measured and both get their times from the probe.  Compared are
the predicted and the measured gain of B over A.  Runs are interleaved; CSV.
Exits 1 if they differ by more than --within of the prediction.
"""
import argparse
import os
import statistics
import sys
import tempfile

import tool_runs

PROMPTS, SLOTS, LENGTH, NEW = 40, 6, 128, 1


def one(tool, model, np, speeds, prompts, more):
    arguments = ["-m", model, "--prompts", prompts, "-n", str(NEW), "-np",
                 str(SLOTS), "-t", "1", "--metrics", "off", "--plan",
                 "measure"] + more
    for rank, speed in enumerate(speeds, 1):
        arguments += ["--emulate", f"rank={rank},speed={speed}"]
    done = tool_runs.run(tool, np, arguments, 900)
    tokens = done["timings"]["prompt_tokens"] + PROMPTS * NEW
    return tokens / done["timings"]["total_sec"], done["plan"]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("model")
    p.add_argument("--speeds", default="0.4,0.2,0.1")
    p.add_argument("--split", default="4,4,4")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--within", type=float, default=1e9)
    a = p.parse_args()
    speeds = [float(s) for s in a.speeds.split(",")]
    ways = {"equal": ["--split", a.split], "planned": []}
    rates, periods, splits = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        prompts = os.path.join(folder, "prompts.txt")
        tool_runs.write_prompts(prompts, PROMPTS, LENGTH)
        for _ in range(a.rounds):
            for way, more in ways.items():
                rate, plan = one(a.tool, a.model, len(speeds) + 1, speeds,
                                 prompts, more)
                rates.setdefault(way, []).append(rate)
                periods.setdefault(way, []).append(plan["period_sec"])
                splits[way] = "+".join(str(s["n_layers"])
                                       for s in plan["stages"])
    tool_runs.print_provenance(
        emulated=f"ranks 1..{len(speeds)} at speeds {a.speeds}",
        model=os.path.basename(a.model),
        workload=f"{PROMPTS} prompts of {LENGTH} tokens, {SLOTS} at a time, "
        f"{NEW} new each, {a.rounds} rounds, interleaved")
    rate = {way: statistics.median(r) for way, r in rates.items()}
    period = {way: statistics.median(t) for way, t in periods.items()}
    print("way,blocks,predicted_period_sec,measured_tokens_per_sec")
    for way in ways:
        print(f"{way},{splits[way]},{period[way]:.4f},{rate[way]:.2f}")
    predicted = period["equal"] / period["planned"]
    measured = rate["planned"] / rate["equal"]
    print(f"# gain predicted {predicted:.3f}, measured {measured:.3f}")
    if abs(measured / predicted - 1) > a.within:
        sys.exit(f"measured and predicted gain differ by more than {a.within}")


if __name__ == "__main__":
    main()
