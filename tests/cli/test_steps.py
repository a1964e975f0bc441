"""bench/steps.py against a stand-in whose times are known before: what it
runs, what it makes of the answers, how it goes on."""
import os
import subprocess
import sys
import unittest

import bench_kit
import tool
from tool import Case

SCRIPT = os.path.join(bench_kit.BENCH, "steps.py")
sys.path.insert(0, bench_kit.BENCH)

# As mpirun it starts itself once, with the number of ranks, instead.  A step of
# b rows takes 10 + b ms, a quarter of which is the slowest stage's of four.
STAND_IN = "#!" + sys.executable + r""" -IS
import json, os, sys
said = sys.argv[1:]
def option(name, fallback="0"):
    return said[said.index(name) + 1] if name in said else fallback
if os.path.basename(sys.argv[0]) == "mpirun":
    np = said.index("-np")
    os.environ["NP"] = said[np + 1]
    os.execv(said[np + 2], said[np + 2:])
if said[0] == "synth":
    open(option("-o"), "w").close()
    sys.exit(0)
if said[0] == "inspect":
    print("family       llama\nshape        9 blocks, width 64")
    sys.exit(0)
if said[0] == "--version":
    print("noodle-mpi 9.9")
    sys.exit(0)
with open(LOG, "a") as f:
    f.write(os.environ["NP"] + " " + " ".join(said) + "\n")
if FAULT and FAULT in " ".join(said):
    sys.stderr.write("noodle-mpi: cannot do that\n")
    sys.exit(1)
with open(option("--prompts")) as f:
    lengths = [len(line) - 1 for line in f]
stages = max(int(os.environ["NP"]) - 1, 1)
seqs, groups = int(option("-np")), int(option("--groups"))
speed = float(said[said.index("--emulate") + 1].split("=")[-1]) \
    if "--emulate" in said else 1
def sec(b):
    return (10 + b) / 1000 / speed
def rate(g):
    b = -(-seqs // g)
    # Two stages with a thread each are as slow as one with two.
    slowest = sec(b) / stages * (1 if speed < 1 else stages)
    return seqs / max(g * slowest, sec(b))
found = rate(groups or stages)
if stages > 1 and not groups:
    found *= 0.9
stall = float(option("--stall-ms", "0")) / 1000
if option("--metrics") != "off":
    import site
    site.main()
    import h5py
    rows = -(-seqs // (groups or stages))
    # The first half is slow; a stage after another.
    ends = [(i if i < 10 else 10 + (i - 10) / 4) * 4 * rows / found
            for i in range(20)]
    with h5py.File(option("--metrics"), "w") as f:
        f["steps/stage"] = [s + 1 for _ in ends for s in range(stages)]
        f["steps/batch"] = [i + 1 for i in range(20) for _ in range(stages)]
        f["steps/rows"] = [rows for _ in ends for _ in range(stages)]
        f["steps/busy_sec"] = [(s + 1) / found if i >= 10 else 999
                               for i in range(20) for s in range(stages)]
        f["steps/end_sec"] = [at - stages + s for at in ends
                              for s in range(stages)]
print(json.dumps({
    "timings": {"decode_tokens_per_sec": found,
                "prompt_tokens_per_sec": 100 * stages,
                "ttft_max_sec": 30 if stall < 1000 else 20},
    "stages": [{"busy_sec": 0.5} for _ in range(stages)],
    "results": [dict({"text": ""}, **({GAP: 2 * stall} if i < 4 else {}))
                for i in range(len(lengths))]}))
"""


class Steps(Case):
    def setUp(self):
        self.folder = tool.make_folder("steps")
        self.log = os.path.join(self.folder, "calls")
        self.tool = self.stand_in()

    def stand_in(self, fault="", gap="gap_max_sec"):
        for name in ("mpirun", "noodle-mpi"):
            path = bench_kit.stand_in(
                os.path.join(self.folder, name), STAND_IN, LOG=self.log,
                FAULT=fault, GAP=gap)
        return path

    def steps(self, *more):
        env = dict(os.environ, PATH=self.folder + ":" + os.environ["PATH"])
        return subprocess.run(
            [sys.executable, "-B", SCRIPT, self.tool, "model.h5", "--quick",
             "--output", os.path.join(self.folder, "out.csv"), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            timeout=60)

    def rows(self, *more):
        done = self.steps(*more)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return {(row["case"], row["rival"]): row for row in bench_kit.rows(
            os.path.join(self.folder, "out.csv"))}

    def calls(self):
        with open(self.log) as f:
            return f.read().splitlines()

    def check(self, row, value, rival):
        self.assertAlmostEqual(float(row["value"]) / value, 1, 3)
        self.assertAlmostEqual(float(row["rival_value"]) / rival, 1, 3)
        self.assertAlmostEqual(float(row["ratio"]), value / rival, 3)

    def test_two_stages_against_one_rank_and_the_bound(self):
        rows = self.rows("--only", "two/")
        # Two groups of 2 rows at 12 ms, of which the choice loses a tenth.
        two = 0.9 * 4 / (2 * 0.012)
        self.check(rows["two/tg4", "one rank"], two, 4 / 0.014)
        self.check(rows["two/tg4", "bound"], two, 2 / 0.012)
        self.check(rows["two/pp64x8", "one rank"], 200, 100)
        threads = {line.split()[0]: line.split("-t ")[1].split()[0]
                   for line in self.calls()}
        self.assertEqual(threads, {"1": "2", "3": "1"})

    def test_the_table_says_where_it_comes_from(self):
        self.rows("--only", "two/pp")
        remarks = bench_kit.remarks(os.path.join(self.folder, "out.csv"))
        self.assertTrue(remarks[0].startswith("processor: "), remarks)
        self.assertEqual(remarks[1:], [
            "tool: noodle-mpi 9.9",
            "model: model.h5; long prompts: llama-3.2-1b int8, random",
            "rounds: 1, in turn, medians",
            "emulated: every rank at speed 0.025"])

    def test_own_choice_against_each_number_of_groups(self):
        rows = self.rows("--only", "groups/")
        own = 0.9 * 4 / (2 * 0.012)
        for groups, sec in (1, 0.014), (2, 2 * 0.012), (3, 3 * 0.012):
            self.check(rows["groups/4", f"groups {groups}"], own, 4 / sec)

    def test_emulated_stages_against_the_formula(self):
        rows = self.rows("--only", "emulated/4/tg8")
        # 1 .. 5 groups of 8, 4, 3, 2, 2 rows; the slowest has a quarter of all.
        sec = {b: (10 + b) / 1000 / 0.025 for b in (8, 4, 3, 2)}
        best = max(8 / max(g * sec[b] / 4, sec[b])
                   for g, b in ((1, 8), (2, 4), (3, 3), (4, 2), (5, 2)))
        for rival in "formula", "formula, with the start":
            self.check(rows["emulated/4/tg8", rival], 0.9 * 8 / sec[2], best)
        # Two rows a step in the slowest stage's time.
        self.check(rows["emulated/4/tg8", "its own times"], 0.9 * 8 / sec[2],
                   2 / 4 * 0.9 * 8 / sec[2])
        self.assertEqual(len(self.calls()), 1 + 4)
        self.assertTrue(all(line.startswith("5 ") and
                            "rank=4,speed=0.025" in line
                            for line in self.calls()))

    def test_emulated_prompt_against_an_even_share(self):
        rows = self.rows("--only", "emulated/4/pp")
        # Each stage is busy for half a second; four chunks in seven turns.
        self.check(rows["emulated/4/pp256", "even share"], 400, 256 / 0.5)
        self.check(rows["emulated/4/pp256", "with filling"], 400,
                   256 / 0.5 * 4 / 7)
        # Ten batches of 999 s go through, then the last stage has ten more.
        found = 0.9 / (0.011 / 0.025)
        self.check(rows["emulated/4/pp256", "its own times"], 400,
                   256 / (13 * 999 + 10 * 4 / found))
        (call,) = self.calls()
        self.assertEqual(call.split()[0], "5")
        self.assertIn("-b 64", call)
        self.assertIn("--split 2,2,2,3", call)

    def test_gaps_against_the_stall(self):
        rows = self.rows("--only", "gaps/50")
        self.check(rows["gaps/50", "stall"], 0.1, 0.05)
        self.check(rows["gaps/50", "texts alone"], 0.1, 0.1)
        self.check(rows["gaps/50", "prompt without"], 30, 20)

    def test_a_tool_without_gaps_is_named_as_the_cause(self):
        self.stand_in(gap="other")
        done = self.steps("--only", "gaps/50")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"gap_max_sec", done.stderr)

    def test_sides_take_turns(self):
        self.rows("--only", "groups/4", "--rounds", "4")
        order = [line.split("--groups ")[1][0] for line in self.calls()]
        self.assertEqual("".join(order), "0123" "1230" "2301" "3012")

    def test_what_is_there_is_not_run_again(self):
        self.stand_in(fault="--groups 2")
        done = self.steps("--only", "two/,groups/")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"cannot do that", done.stderr)
        n = len(self.calls())
        self.stand_in()
        rows = self.rows("--only", "two/,groups/")
        self.assertEqual(len(self.calls()) - n, 4)
        self.assertEqual(len(rows), 2 + 1 + 3)

    def test_the_formula_takes_the_best_number_of_groups(self):
        import steps
        flat = {b: 1.0 for b in range(1, 33)}
        self.assertAlmostEqual(steps.formula_rate(32, 4, 0.25, flat), 32)
        even = {b: float(b) for b in range(1, 33)}
        self.assertAlmostEqual(steps.formula_rate(32, 4, 0.25, even), 4)
        # A stage with half of the work: no more than two of its times.
        self.assertAlmostEqual(steps.formula_rate(32, 4, 0.5, even), 2)
        self.assertAlmostEqual(steps.formula_rate(1, 4, 0.25, even), 1)


if __name__ == "__main__":
    sys.exit(tool.main())
