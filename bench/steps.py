#!/usr/bin/env python3
"""Does a pipeline write as fast as its step times allow?

    steps.py TOOL MODEL [--long-model MODEL] [--output FILE.csv] [--rounds 5]
             [--only TEXT[,TEXT]] [--speed 0.025] [--list] [--quick]

With T(b) for the time of one rank's step with b sequences, G groups of b = B/G
sequences in a pipeline write B / max(G * slowest(b), sum(b)) tokens a second;
slowest and sum are the parts of T(b) that the slowest stage and all have.

    two/tgB       two stages with a thread each against one rank with two: its
                  rate at B, and the bound, which is its rate at B/2
    two/pp512x8   the same for prompts
    groups/B      two stages with --groups 1, 2, 3 against their own choice
    emulated/S/tgB     S slow stages on this machine against the formula, whose
                  T(b) the same stages give with one group of b in flight, and
                  against the times of the run's own steps, had none waited
    emulated/S/pp8192  S slow stages, chunks of 64, against the sum of their
                  busy times shared out evenly, against that with the time in
                  which the pipeline fills, and against the run's own steps, had
                  each begun as soon as its stage and its chunk were free
    gaps/MS       the longest wait for a token of texts being written while a
                  prompt of 8192 comes in, against --stall-ms MS and against
                  their longest wait without it, and the prompt's time then
                  against that without a limit

Emulated ranks compute as usual and wait out the rest; they are so slow that all
together use less than half of two cores (take a small MODEL, as gpt2-124m in
int8).  The prompts and gaps want a model of 8192 positions: --long-model, or a
random llama-3.2-1b is made for them.  Texts are bytes, which the model must
know as ids (random ones do).

The sides of a case are run in turn, in an order that moves on by one from round
to round.  A row of the CSV is a side against another or against a bound: the
medians over the rounds, their ratio, the lowest and highest ratio of a round,
and what the rest of the machine took of all cores meanwhile.  Cases that the
file holds already are not run again.  All of it takes many hours, the emulated
prompts of 8192 most: about one a round; --only picks, --list shows.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

import compare_table
import tool_runs

TOKENS = 4  # of a prompt whose text is measured: all prompts fit in one step
SLOW = 0.025  # of the speed of a core: sixteen such ranks use 0.4 of one
CHUNK = 64  # rows of a step of the prompt of emulated stages
STALLS = ("25", "50", "100", "200")  # ms
WRITERS = 4  # texts that wait while the long prompt comes in


class Table(compare_table.Table):
    columns = ("case rival sequences rounds value rival_value unit ratio "
               "ratio_low ratio_high load1 others_percent date").split()

    def write_markdown(self):
        """The CSV says it all."""


class Side:
    """One way to run the program: ranks, arguments, seconds it may take."""

    def __init__(self, np, arguments, timeout=900):
        self.np = np
        self.arguments = arguments
        self.timeout = timeout


def decode_rate(done):
    return done["timings"]["decode_tokens_per_sec"]


def prompt_rate(done):
    return done["timings"]["prompt_tokens_per_sec"]


def slowest_share(done):
    """Of the time of all stages."""
    busy = [stage["busy_sec"] for stage in done["stages"]]
    return max(busy) / sum(busy)


class Steady:
    """The later half of a run's batches: at first memory is touched for the
    first time, and what is best is learnt."""

    def __init__(self, metrics):
        with h5py.File(metrics, "r") as f:
            steps = {name: f["steps"][name][:] for name in
                     ("stage", "batch", "end_sec", "rows", "busy_sec")}
        last = steps["stage"] == max(steps["stage"])
        ends = sorted(zip(steps["end_sec"][last], steps["batch"][last]))
        begin, *later = ends[len(ends) // 2:]
        batches = [batch for _, batch in later]
        seen = numpy.isin(steps["batch"], batches)
        self.sec = later[-1][0] - begin[0]
        self.n_rows = steps["rows"][seen & last].sum()
        self.n_batches = len(batches)
        self.busy = [steps["busy_sec"][seen & (steps["stage"] == stage)].mean()
                     for stage in sorted(set(steps["stage"]))]

    def rate(self):
        return self.n_rows / self.sec

    def most(self, seqs):
        """The rate if no batch had waited for another, of those that there
        were: that of the slowest stage, or of one way round for each."""
        return min(self.n_rows / self.n_batches / max(self.busy),
                   seqs / sum(self.busy))


def passage_sec(metrics):
    """From the begin of the first step to the end of the last, if each began
    as soon as its stage and its batch were free."""
    with h5py.File(metrics, "r") as f:
        steps = f["steps"]
        times = sorted(zip(steps["batch"][:], steps["stage"][:],
                           steps["busy_sec"][:]))
    batch_at, stage_at = {}, {}
    for batch, stage, sec in times:
        end = max(batch_at.get(batch, 0), stage_at.get(stage, 0)) + sec
        batch_at[batch] = stage_at[stage] = end
    return max(stage_at.values())


def rows_of(seqs, groups):
    return -(-seqs // groups)


def formula_rate(seqs, stages, share, whole_sec):
    """The most that any number of groups gives; whole_sec[b] is the time of b
    rows in all stages, share what the slowest has of it."""
    return max(seqs / (whole_sec[rows_of(seqs, g)] * max(g * share, 1))
               for g in range(1, min(seqs, stages + 1) + 1))


class Case:
    """A name, what is run, and what is made of a round: judge(outputs) gives
    {rival: (value, value of the rival)}."""
    unit = "tokens/s"

    def __init__(self, a, name, seqs):
        self.a = a
        self.name = name
        self.seqs = seqs
        self.sides = {}

    def prompts(self, *lengths):
        path = os.path.join(self.a.folder, "-".join(
            f"{count}x{length}" for count, length in lengths) + ".txt")
        texts = []
        for count, length in lengths:
            tool_runs.write_prompts(path, count, length)
            with open(path) as f:
                texts.append(f.read())
        with open(path, "w") as f:
            f.write("".join(texts))
        return path

    def side(self, np, seqs, threads, *more, model=None, length=TOKENS,
             new=None, metrics="off", timeout=900):
        return Side(np, ["-m", model or self.a.model, "--prompts",
                         self.prompts((seqs, length)), "-np", str(seqs),
                         "-n", str(new or self.a.new), "-t", str(threads),
                         "--metrics", metrics, "--plan", "estimate", *more],
                    timeout)

    def metrics(self, name):
        return os.path.join(self.a.folder, f"{name}.h5")

    def prepare(self):
        """Only cases that are run need files."""


class TwoDecode(Case):
    def __init__(self, a, seqs):
        super().__init__(a, f"two/tg{seqs}", seqs)

    def prepare(self):
        self.sides = {"one": self.side(1, self.seqs, 2),
                      "half": self.side(1, self.seqs // 2, 2),
                      "two": self.side(3, self.seqs, 1)}

    def judge(self, done):
        rate = {side: decode_rate(out) for side, out in done.items()}
        half_sec = self.seqs // 2 / rate["half"]
        # Half of the layers with half of the cores take as long as all.
        return {"one rank": (rate["two"], rate["one"]),
                "bound": (rate["two"], self.seqs / (2 * half_sec))}


class TwoPrompts(Case):
    def __init__(self, a):
        super().__init__(a, f"two/pp{a.length}x8", 8)

    def prepare(self):
        sizes = {"length": self.a.length, "new": 1}
        self.sides = {"one": self.side(1, 8, 2, **sizes),
                      "two": self.side(3, 8, 1, **sizes)}

    def judge(self, done):
        return {"one rank": (prompt_rate(done["two"]),
                             prompt_rate(done["one"]))}


class Groups(Case):
    def __init__(self, a, seqs):
        super().__init__(a, f"groups/{seqs}", seqs)

    def prepare(self):
        # The choice is learnt: give it time.
        self.sides = {f"groups {g}": self.side(
            3, self.seqs, 1, "--groups", str(g), new=2 * self.a.new)
            for g in range(4)}

    def judge(self, done):
        rate = {side: decode_rate(out) for side, out in done.items()}
        own = rate.pop("groups 0")
        return {side: (own, fixed) for side, fixed in rate.items()}


def even_split(a, model, stages):
    """The blocks of a model, as evenly as they go, as --split wants them."""
    said = subprocess.run([a.tool, "inspect", model], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    blocks = int(re.search(r"^shape\s+(\d+) blocks", said, re.M).group(1))
    ends = [blocks * i // stages for i in range(stages + 1)]
    return ",".join(str(y - x) for x, y in zip(ends, ends[1:]))


def emulated(stages, speed):
    return [text for rank in range(1, stages + 1)
            for text in ("--emulate", f"rank={rank},speed={speed:g}")]


class EmulatedDecode(Case):
    def __init__(self, a, stages, seqs):
        super().__init__(a, f"emulated/{stages}/tg{seqs}", seqs)
        self.stages = stages

    def prepare(self):
        # The choice of all is learnt: give it time.
        self.sides = {"all": self.slow("all", self.seqs, 4 * self.a.new)}
        for g in range(1, min(self.seqs, self.stages + 1) + 1):
            rows = rows_of(self.seqs, g)
            self.sides[rows] = self.slow(rows, rows, self.a.new // 2,
                                         "--groups", "1")

    def slow(self, name, seqs, new, *more):
        return self.side(self.stages + 1, seqs, 1, *more,
                         *emulated(self.stages, self.a.speed), new=new,
                         metrics=self.metrics(name), timeout=3600)

    def judge(self, done):
        steady = {name: Steady(self.metrics(name)) for name in done}
        rate = steady["all"].rate()
        whole_sec = {rows: rows / of.rate() for rows, of in steady.items()
                     if rows != "all"}
        bound = formula_rate(self.seqs, self.stages,
                             slowest_share(done["all"]), whole_sec)
        return {"formula": (rate, bound),
                "formula, with the start": (decode_rate(done["all"]), bound),
                "its own times": (rate, steady["all"].most(self.seqs))}


class EmulatedPrompt(Case):
    def __init__(self, a, stages):
        super().__init__(a, f"emulated/{stages}/pp{a.long}", 1)
        self.stages = stages

    def prepare(self):
        # By parameters the last stage would get less, for the sake of a head
        # that a prompt needs once.
        split = even_split(self.a, self.a.long_weights(), self.stages)
        self.sides = {"all": self.side(
            self.stages + 1, 1, 1, *emulated(self.stages, self.a.speed),
            "-b", str(CHUNK), "--split", split, "-c", str(self.a.long + 64),
            model=self.a.long_weights(), length=self.a.long, new=1,
            metrics=self.metrics("all"), timeout=4 * 3600)}

    def judge(self, done):
        rate = prompt_rate(done["all"])
        busy = sum(stage["busy_sec"] for stage in done["all"]["stages"])
        chunks = rows_of(self.a.long, CHUNK)
        ideal = self.a.long * self.stages / busy
        # The last stage begins S - 1 chunks after the first.
        filling = chunks / (chunks + self.stages - 1)
        own = self.a.long / passage_sec(self.metrics("all"))
        return {"even share": (rate, ideal),
                "with filling": (rate, ideal * filling),
                "its own times": (rate, own)}


class Gaps(Case):
    """The long prompt is the last of the file: the others are served first."""
    unit = "s"

    def __init__(self, a, stall):
        super().__init__(a, f"gaps/{stall}", WRITERS)
        self.stall = stall

    def run(self, stall, *prompts):
        new = self.a.new * 4
        return Side(3, ["-m", self.a.long_weights(), "--prompts", self.prompts(
            (WRITERS, TOKENS), *prompts), "-np", str(WRITERS + 1),
            "-n", str(new), "-t", "1", "-c", str(self.a.long + new + 64),
            "--metrics", "off", "--plan", "estimate", "--stall-ms", stall],
            3600)

    def prepare(self):
        # An hour is no limit.
        long = (1, self.a.long)
        self.sides = {"limit": self.run(self.stall, long),
                      "none": self.run("3600000", long),
                      "alone": self.run(self.stall)}

    @staticmethod
    def gap(out):
        try:
            return max(text["gap_max_sec"] for text in out["results"][:WRITERS])
        except KeyError:
            sys.exit("run --json says no gap_max_sec of a text: it is too old")

    def judge(self, done):
        gap = self.gap(done["limit"])
        ttft = {side: out["timings"]["ttft_max_sec"]
                for side, out in done.items()}
        return {"stall": (gap, float(self.stall) / 1000),
                "texts alone": (gap, self.gap(done["alone"])),
                "prompt without": (ttft["limit"], ttft["none"])}


def all_cases(a):
    for seqs in a.seqs:
        yield TwoDecode(a, seqs)
    yield TwoPrompts(a)
    for seqs in a.seqs:
        yield Groups(a, seqs)
    for stages in a.stages:
        for seqs in (2 * stages, 64):
            yield EmulatedDecode(a, stages, seqs)
    for stages in a.stages:
        yield EmulatedPrompt(a, stages)
    for stall in STALLS:
        yield Gaps(a, stall)


def row_of(case, rival, pairs, others):
    """pairs: (value, value of the rival) of each round."""
    values, rivals = zip(*pairs)
    ratios = [x / y for x, y in pairs]
    value, other = statistics.median(values), statistics.median(rivals)
    return {
        "case": case.name, "rival": rival, "sequences": case.seqs,
        "rounds": len(pairs), "value": f"{value:.4g}",
        "rival_value": f"{other:.4g}", "unit": case.unit,
        "ratio": f"{value / other:.3f}", "ratio_low": f"{min(ratios):.3f}",
        "ratio_high": f"{max(ratios):.3f}",
        "load1": f"{os.getloadavg()[0]:.2f}",
        "others_percent": f"{others:.1f}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def measure(a, case, table):
    case.prepare()
    names = list(case.sides)
    before = tool_runs.Busy()
    seen = {}
    for i in range(a.rounds):
        turn = i % len(names)
        done = {}
        for name in names[turn:] + names[:turn]:
            side = case.sides[name]
            done[name] = tool_runs.run(a.tool, side.np, side.arguments,
                                       side.timeout)
        for rival, pair in case.judge(done).items():
            seen.setdefault(rival, []).append(pair)
    others = before.others_percent()
    for rival, pairs in seen.items():
        table.add(row_of(case, rival, pairs, others))


def parse():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("model")
    p.add_argument("--long-model", metavar="MODEL")
    p.add_argument("--output", default="steps.csv", metavar="FILE.csv")
    p.add_argument("--rounds", type=int)
    p.add_argument("--only", type=lambda text: text.split(","))
    p.add_argument("--speed", type=float, default=SLOW,
                   help="of emulated ranks")
    p.add_argument("--list", action="store_true", help="print the cases")
    p.add_argument("--quick", action="store_true",
                   help="does it work: few sequences, short texts, one round")
    a = p.parse_args()
    a.tool = os.path.abspath(a.tool)
    a.rounds = a.rounds or (1 if a.quick else 5)
    a.seqs = (4,) if a.quick else (8, 16, 32)
    a.stages = (4,) if a.quick else (4, 8, 16)
    a.new, a.length, a.long = (8, 64, 256) if a.quick else (64, 512, 8192)
    if a.rounds < 1:
        p.error("--rounds: at least one")
    return a


def long_weights(a):
    """Made when the first case wants it."""
    if not a.long_model:
        a.long_model = os.path.join(a.folder, "long.h5")
        subprocess.run([a.tool, "synth", "llama-3.2-1b", "--dtype", "int8",
                        "-o", a.long_model], check=True)
    return a.long_model


def provenance(a):
    return tool_runs.provenance(
        tool=tool_runs.version(a.tool),
        model=f"{os.path.basename(a.model)}; long prompts: "
        + os.path.basename(a.long_model or "llama-3.2-1b int8, random"),
        rounds=f"{a.rounds}, in turn, medians",
        emulated=f"every rank at speed {a.speed:g}")


def main():
    a = parse()
    cases = [case for case in all_cases(a)
             if not a.only or any(text in case.name for text in a.only)]
    if a.list:
        print("\n".join(case.name for case in cases))
        return
    table = Table(a.output, provenance(a))
    with tempfile.TemporaryDirectory() as a.folder:
        a.long_weights = lambda: long_weights(a)
        for case in cases:
            if any(row["case"] == case.name for row in table.rows):
                continue
            print(case.name, file=sys.stderr, flush=True)
            measure(a, case, table)


if __name__ == "__main__":
    main()
