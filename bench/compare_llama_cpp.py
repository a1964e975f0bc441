#!/usr/bin/env python3
"""Our `bench` against llama.cpp and ik_llama.cpp: the same shapes of random
weights, the same threads, runs in turn.

    compare_llama_cpp.py TOOL [--llama-cpp DIR] [--ik DIR] [--output FILE.csv]
        [--folder DIR] [--only TEXT[,TEXT]] [--rounds 5] [--quick]

DIR holds the binaries of a build: llama-bench and, for several sequences at
once, llama-batched-bench.  int8 is compared with Q8_0; int4, whose head and v
are int8, with Q4_0 whose head and v are Q8_0 (gpt2's v is part of a Q4_0
matrix there); int4-pure with Q4_0 alone; f32 and bf16 with themselves.

A rival first runs once with each set of flags that may be its best one; then
rounds of one run of each side follow, in an order that moves on by one from
round to round.  A row of the CSV is one test against one rival: medians of
tokens/s, their ratio, the lowest and highest ratio of a round, the shares of
our peaks and of a large product alone (gemm), the load average behind it, and
what the rest of the machine took of all cores meanwhile: rows with more than
a few percent there say nothing, above all of rivals whose threads wait for
each other by spinning.  Tests that the file holds already are not run again,
so an interrupted comparison goes on where it was.  Beside the CSV a table for
people is written, FILE.md.

--folder keeps the weights (7 GB for all); --only picks cases by parts of
their names, as --list shows them.  rivals.py has the flags.
"""
import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass

import compare_table
import rivals
import tool_runs

# dtype of ours: (options of synth, dtype of theirs)
DTYPES = {
    "f32": (["--dtype", "f32"], "f32"),
    "bf16": (["--dtype", "bf16"], "bf16"),
    "int8": (["--dtype", "int8"], "q8_0"),
    "int4": (["--dtype", "int4"], "q4_0+q8_0"),
    "int4-pure": (["--dtype", "int4", "--keep", "none"], "q4_0"),
}
SHAPES = {
    "gpt2-124m": ("f32", "bf16", "int8", "int4", "int4-pure"),
    "tinyllama-1.1b": ("bf16", "int8", "int4", "int4-pure"),
    "llama-3.2-1b": ("bf16", "int8", "int4"),
}


@dataclass
class Work:
    """What one run of a program does."""
    shape: str
    dtype: str
    threads: int
    seqs: int
    prompt: int
    gen: int
    folder: str = ""
    ours: str = ""
    theirs: str = ""

    def tests(self):
        return ([f"pp{self.prompt}"] if self.prompt else []) + (
            [f"tg{self.gen}"] if self.gen else [])

    def case(self, test):
        batch = f"x{self.seqs}" if self.seqs > 1 else ""
        return f"{self.shape}/{self.dtype}/t{self.threads}/{test}{batch}"

    def cases(self):
        return [self.case(test) for test in self.tests()]


def all_work(a):
    """Works of one file of weights stand together."""
    for shape, dtypes in SHAPES.items():
        is_long = shape == "llama-3.2-1b"
        for dtype in dtypes:
            for threads in a.threads:
                if is_long:
                    yield Work(shape, dtype, threads, 1, a.long_prompt, 0)
                    continue
                yield Work(shape, dtype, threads, 1, a.prompt, a.gen)
                for seqs in a.seqs:
                    yield Work(shape, dtype, threads, seqs, 0, a.batch_gen)


def chosen(a, case):
    return not a.only or any(text in case for text in a.only)


def make_weights(a, work, folder):
    """Both files, unless they are there."""
    options, kind = DTYPES[work.dtype]
    work.folder = folder
    work.ours = os.path.join(folder, f"{work.shape}-{work.dtype}.h5")
    work.theirs = os.path.join(folder, f"{work.shape}-{kind}.gguf")
    if not os.path.exists(work.ours):
        part = work.ours + ".part"
        rivals.run([os.path.abspath(a.tool), "synth", work.shape, *options,
                    "-o", part], folder)
        os.replace(part, work.ours)
    if not os.path.exists(work.theirs):
        import gguf_random  # and numpy, which nothing else here needs
        gguf_random.write(work.theirs, work.shape, kind)


def drop_weights(work):
    for path in (work.ours, work.theirs):
        if os.path.exists(path):
            os.remove(path)


def choose_flags(side, work, trials):
    """{test: the flags that were fastest in a try}.  A side that fails with
    its first two is not asked again: it cannot run this model."""
    if len(side.variants) == 1:
        return {test: side.variants[0] for test in work.tests()}
    best = {}
    failures = []
    for flags in side.variants * trials:
        try:
            for test, (rate, _) in side.measure(work, flags).items():
                if rate > best.get(test, (0.0, None))[0]:
                    best[test] = (rate, flags)
        except rivals.Failed as failure:
            failures.append(failure)
            if not best and len(failures) == 2:
                break
    if not best:
        raise failures[0]
    return {test: flags for test, (_, flags) in best.items()}


def one_run(side, work, flags, seen):
    """A side once with each set of flags that it was chosen for.  A second
    try is given: a failure in a round would cost all rounds before it."""
    for these in dict.fromkeys(flags.values()):
        try:
            found = side.measure(work, these)
        except rivals.Failed:
            found = side.measure(work, these)
        for test in work.tests():
            if flags[test] == these:
                seen.setdefault(test, []).append(found[test])


def all_rounds(a, sides, work, flags):
    """{side: {test: [(tokens/s, row)]}} of those that never failed."""
    seen = {side.name: {} for side in sides}
    for i in range(a.rounds):
        turn = i % len(sides)
        for side in sides[turn:] + sides[:turn]:
            if side.name not in seen:
                continue
            try:
                one_run(side, work, flags[side.name], seen[side.name])
            except rivals.Failed as failure:
                leave_out(a, side, work, failure)
                del seen[side.name]
    return seen


def leave_out(a, side, work, failure):
    """Without us there is nothing to compare; a rival only lacks its row."""
    if side is a.us:
        raise failure
    print(f"{work.cases()[0]}: without {side.name}: {failure}",
          file=sys.stderr)


def row_of(work, test, names, flags, seen):
    ours, theirs = ([rate for rate, _ in seen[name][test]] for name in names)
    ratios = [x / y for x, y in zip(ours, theirs)]
    own = [row for _, row in seen[names[0]][test]]
    percent = {name: 100 * statistics.median(row.get(name, 0) for row in own)
               for name in ("flop_share", "bytes_share", "gemm_share")}
    return {
        "case": work.case(test), "shape": work.shape, "dtype": work.dtype,
        "threads": work.threads, "test": test, "sequences": work.seqs,
        "rival": names[1], "rival_flags": " ".join(flags),
        "rounds": len(ours),
        "ours_tokens_sec": f"{statistics.median(ours):.2f}",
        "rival_tokens_sec": f"{statistics.median(theirs):.2f}",
        "ratio": f"{statistics.median(ours) / statistics.median(theirs):.3f}",
        "ratio_low": f"{min(ratios):.3f}", "ratio_high": f"{max(ratios):.3f}",
        "ours_flop_percent": f"{percent['flop_share']:.1f}",
        "ours_read_percent": f"{percent['bytes_share']:.1f}",
        "ours_gemm_percent": f"{percent['gemm_share']:.1f}",
        "load1": f"{os.getloadavg()[0]:.2f}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def compare(a, work, sides, table):
    """All rounds of a work against these rivals; its rows into the table."""
    flags = {}
    for side in sides:
        try:
            flags[side.name] = choose_flags(side, work, a.trials)
        except rivals.Failed as failure:
            leave_out(a, side, work, failure)
    sides = [side for side in sides if side.name in flags]
    if sides == [a.us]:
        return
    before = tool_runs.Busy()
    seen = all_rounds(a, sides, work, flags)
    others = before.others_percent()
    for test in work.tests():
        for rival in sides:
            if rival is a.us or rival.name not in seen:
                continue
            if not chosen(a, work.case(test)) or table.has(work.case(test),
                                                           rival.name):
                continue
            row = row_of(work, test, (a.us.name, rival.name),
                         flags[rival.name][test], seen)
            table.add(dict(row, others_percent=f"{others:.1f}"))


def missing(a, work, table):
    """The rivals that a chosen test of this work lacks."""
    return [rival for rival in a.rivals if rival.has(work) and any(
        chosen(a, case) and not table.has(case, rival.name)
        for case in work.cases())]


def check_builds(a, folder):
    small = Work("gpt2-124m", "int8", 1, 1, 1, 0)
    make_weights(a, small, folder)
    refuse_lesser(a, small.theirs, folder)


def refuse_lesser(a, weights, folder):
    """Refuse a rival that was built for a lesser processor."""
    for rival in a.rivals:
        fault = rival.check(weights, folder)
        if not fault:
            continue
        if not a.anyway:
            sys.exit(f"{rival.folder}: {rival.name} {fault}: build it with "
                     "-DGGML_NATIVE=ON, or give --anyway")
        print(f"warning: {rival.name} {fault}", file=sys.stderr)


def run_all(a, table, folder):
    last = None
    for work in all_work(a):
        lacking = missing(a, work, table)
        if not lacking:
            continue
        if last and (last.shape, last.dtype) != (work.shape, work.dtype):
            if not a.folder:
                drop_weights(last)
        make_weights(a, work, folder)
        names = " ".join(rival.name for rival in lacking)
        print(f"{', '.join(work.cases())}: {names}", file=sys.stderr,
              flush=True)
        compare(a, work, [a.us, *lacking], table)
        last = work


def numbers(text):
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give numbers: 1,2")
    return values


def parse():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("--llama-cpp", metavar="DIR")
    p.add_argument("--ik", metavar="DIR")
    p.add_argument("--output", default="compare.csv", metavar="FILE.csv")
    p.add_argument("--folder", help="keep the weights here")
    p.add_argument("--only", type=lambda text: text.split(","))
    p.add_argument("--list", action="store_true", help="print the cases")
    p.add_argument("--threads", type=numbers, metavar="1,2")
    p.add_argument("--rounds", type=int)
    p.add_argument("--trials", type=int, default=1,
                   help="runs of each set of flags, to choose among them")
    p.add_argument("--quick", action="store_true",
                   help="does it work: short tests of gpt2-124m, one round")
    p.add_argument("--anyway", action="store_true",
                   help="also with a rival that lacks AVX-512")
    a = p.parse_args()
    a.threads = a.threads or ([2] if a.quick else [1, 2])
    a.rounds = a.rounds or (1 if a.quick else 5)
    a.only = a.only or (["gpt2-124m/"] if a.quick else None)
    a.prompt, a.gen, a.batch_gen = (32, 8, 4) if a.quick else (512, 64, 32)
    a.long_prompt = 256 if a.quick else 4096
    a.seqs = [4] if a.quick else [4, 16]
    a.us = rivals.Ours(a.tool)
    a.rivals = rivals.built(a.llama_cpp, a.ik)
    return a


def provenance(a):
    return tool_runs.provenance(
        tool=tool_runs.version(a.tool),
        rounds=f"{a.rounds}, in turn, medians",
        **{rival.name: rival.describe() for rival in a.rivals})


def main():
    a = parse()
    if a.list:
        print("\n".join(case for work in all_work(a) for case in work.cases()
                        if chosen(a, case)))
        return
    if not a.rivals:
        sys.exit("nobody to compare with: give --llama-cpp or --ik")
    table = compare_table.Table(a.output, provenance(a))
    with tool_runs.folder(a.folder) as folder:
        try:
            check_builds(a, folder)
            run_all(a, table, folder)
        except rivals.Failed as failure:
            sys.exit(str(failure))
    table.write_markdown()


if __name__ == "__main__":
    main()
