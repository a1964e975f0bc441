#!/usr/bin/env python3
"""Do stages overlap?  Eight prompts of 512 tokens on one node, two ways.

    overlap.py TOOL MODEL [--rounds 5] [--at-least 0.85]

A is one stage with all cores (np 2), B three stages (np 4) on the same cores.
Runs are interleaved, A B A B ..., and the medians of the prompt rates are
compared.  Prints CSV with the facts of the run in front; exits 1 if B / A is
below --at-least.  The model must know 512 positions and plain bytes as ids.
"""
import argparse
import os
import statistics
import sys
import tempfile

import tool_runs

PROMPTS, LENGTH = 8, 512


def prompt_rate(tool, model, prompts, np):
    done = tool_runs.run(tool, np, ["-m", model, "--prompts", prompts, "-n",
                                    "1", "--metrics", "off", "--plan",
                                    "estimate"])
    return done["timings"]["prompt_tokens_per_sec"]


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("model")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--at-least", type=float, default=0.0)
    a = p.parse_args()
    rates = {2: [], 4: []}
    with tempfile.TemporaryDirectory() as folder:
        prompts = os.path.join(folder, "prompts.txt")
        tool_runs.write_prompts(prompts, PROMPTS, LENGTH)
        for _ in range(a.rounds):
            for np in rates:
                rates[np].append(prompt_rate(a.tool, a.model, prompts, np))
    medians = {np: statistics.median(r) for np, r in rates.items()}
    ratio = medians[4] / medians[2]
    tool_runs.print_provenance(
        model=f"{os.path.basename(a.model)}, {PROMPTS} prompts of {LENGTH} "
        f"tokens, {a.rounds} rounds, interleaved")
    print("np,median_tokens_per_sec,min,max")
    for np, r in rates.items():
        print(f"{np},{medians[np]:.1f},{min(r):.1f},{max(r):.1f}")
    print(f"# np 4 / np 2: {ratio:.3f}")
    if ratio < a.at_least:
        sys.exit(f"np 4 reaches {ratio:.3f} of np 2, less than {a.at_least}")


if __name__ == "__main__":
    main()
