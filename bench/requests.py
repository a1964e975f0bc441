#!/usr/bin/env python3
"""Many requests of mixed lengths: noodle-mpi against llama.cpp, ik_llama.cpp,
and llama.cpp over two RPC servers, on the same cores.

    requests.py TOOL [--llama-cpp DIR] [--ik DIR] [--llama-server PATH]
        [--output FILE.csv] [--folder DIR] [--only SIDE,...] [--rounds 3]
        [--requests 500] [--reuse] [--quick]

Prompts are token ids of lengths drawn from --prompt, each answer is as long as
was drawn from --new.  The sides (--list):

  noodle-mpi            `run --requests`: rank 0 and a stage for each core
  noodle-mpi-shared     the same with rank 0 in the first stage
  llama.cpp             llama-batched-bench, --parallel sequences at once, all
  ik_llama.cpp          of the mean lengths: without the holes and the waiting
                        that mixed lengths bring
  llama.cpp-rpc         that over ggml-rpc-servers here, one thread each
  llama-server          the very requests over HTTP
  noodle-mpi-no-reuse   in the workload of --reuse only

Of a batched bench --batches batches are run and all of the work follows from
their speed: "measured %" is the share that was run.  Times are from ready to
the last token, tokens/s are prompt and new tokens over that time.

A rival first tries its sets of flags, shortly; rounds of one run of each side
follow, in an order that moves on by one from round to round.  Each run is a
row of the CSV, and what it holds is not run again: a killed benchmark goes on
where it was.  FILE.md has the medians; at the end the gates are printed.

--reuse adds a workload whose prompts have their first --common tokens in
common; only noodle-mpi runs it, with and without --no-prefix-reuse.
--folder keeps the weights (3 GB).
"""
import argparse
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass, field

import compare_llama_cpp
import llama_server
import request_sides
import request_table
import request_workload
import rivals
import tool_runs

SIDES = (request_table.OURS, "noodle-mpi-shared", "llama.cpp", "ik_llama.cpp",
         "llama.cpp-rpc", "llama-server", request_table.PLAIN)
QUICK = dict(requests=12, rounds=1, prompt=(8, 32), new=(2, 6), common=16,
             parallel=[4])


@dataclass
class Files:
    """What the sides read, and where they may write."""
    folder: str
    ours: str = ""
    theirs: str = ""
    theirs_vocabulary: str = ""


@dataclass
class Case:
    """A workload and who has it to do."""
    name: str
    workload: request_workload.Workload
    sides: list
    flags: dict = field(default_factory=dict)


def make_files(a, folder):
    files = Files(folder)
    work = compare_llama_cpp.Work(a.shape, a.dtype, a.cores, 1, 0, 0)
    compare_llama_cpp.make_weights(a, work, folder)
    files.ours, files.theirs = work.ours, work.theirs
    if any(side.name == "llama-server" for side in a.sides):
        root, end = os.path.splitext(files.theirs)
        files.theirs_vocabulary = f"{root}-vocabulary{end}"
        if not os.path.exists(files.theirs_vocabulary):
            import gguf_random  # and numpy, which nothing else here needs
            gguf_random.write(files.theirs_vocabulary, a.shape,
                              compare_llama_cpp.DTYPES[a.dtype][1], True)
    return files


def ours(a, name, ranks, *more):
    return request_sides.Ours(name, a.tool, ranks,
                              ["-t", "1", *more, *a.flags])


def all_sides(a):
    """Those that there are programs for."""
    sides = [ours(a, request_table.OURS, a.cores + 1),
             ours(a, "noodle-mpi-shared", a.cores, "--rank0", "shared")]
    for rival in a.rivals:
        sides.append(request_sides.Batched(rival, a.cores, a.parallel,
                                           a.batches))
    if a.llama_cpp and request_sides.Rpc.program(a.llama_cpp):
        sides.append(request_sides.Rpc(a.rivals[0], a.cores, a.parallel,
                                       a.batches))
    if a.llama_server:
        sides.append(llama_server.LlamaServer(a.llama_server, a.cores,
                                              max(a.parallel)))
    sides.append(ours(a, request_table.PLAIN, a.cores + 1,
                      "--no-prefix-reuse"))
    return [side for side in sides if not a.only or side.name in a.only]


def all_cases(a):
    """Who reuses what is a matter of the second workload alone."""
    at = f"{a.shape}/{a.dtype}/{a.cores} cores/"
    mixed = request_workload.draw("mixed", a.requests, a.prompt, a.new, a.seed)
    yield Case(at + mixed.name, mixed, [
        side for side in a.sides if side.name != request_table.PLAIN])
    if a.reuse:
        reuse = request_workload.draw("reuse", a.requests, a.prompt, a.new,
                                      a.seed, a.common)
        yield Case(at + reuse.name, reuse, [
            side for side in a.sides
            if side.name in (request_table.OURS, request_table.PLAIN)])


def row_of(case, side, turn, figures, others):
    work = case.workload
    return {
        "case": case.name, "side": side.name, "round": turn,
        "flags": figures.flags, "requests": work.count,
        "prompt_tokens": work.prompt_tokens, "new_tokens": work.new_tokens,
        "seconds": f"{figures.seconds:.3f}",
        "tokens_sec": f"{work.tokens / figures.seconds:.2f}",
        "measured_percent": f"{100 * figures.measured:.2f}",
        "ttft_median_sec": figures.ttft_median,
        "ttft_95_sec": figures.ttft_95,
        "reused_tokens": figures.reused_tokens,
        "load1": f"{os.getloadavg()[0]:.2f}",
        "others_percent": f"{others:.1f}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def tell(text):
    print(text, file=sys.stderr, flush=True)


def one_run(case, side, turn, measure, table):
    """Its rows into the table.  A second try is given: a failure in a round
    must not cost an unattended night."""
    tell(f"{time.strftime('%H:%M:%S')} {case.name}: {side.name}"
         + (f", round {turn}" if turn else ", a try"))
    before = tool_runs.Busy()
    start = time.monotonic()
    try:
        found = measure()
    except rivals.Failed:
        found = measure()
    others = before.others_percent()
    rows = [row_of(case, side, turn, figures, others) for figures in found]
    table.add(*rows)
    for row in rows:
        tell(f"    {row['tokens_sec']} tokens/s in all with {row['flags']}, "
             f"run in {time.monotonic() - start:.0f} s")


def choose_flags(case, side, files, table):
    """The flags that were fastest in tries, of this start or of an earlier
    one, whose rows name them first and then what the try added."""
    if len(side.variants) == 1:
        return side.variants[0]
    failures = []
    for flags in side.variants:
        if rate_of(flags, table.tried(case.name, side.name)):
            continue
        try:
            one_run(case, side, request_table.TRY,
                    lambda: [side.try_out(files, case.workload, flags)], table)
        except rivals.Failed as failure:
            failures.append(failure)
    tried = table.tried(case.name, side.name)
    best = max(side.variants, key=lambda flags: rate_of(flags, tried))
    if not rate_of(best, tried):
        raise failures[0]
    return best


def rate_of(flags, tried):
    text = " ".join(flags) + " "
    return max((rate for said, rate in tried.items()
                if said.startswith(text)), default=0.0)


def leave_out(case, side, failure):
    """Without us there is nothing to compare; a rival only lacks its row."""
    if side.name == request_table.OURS:
        raise failure
    case.sides.remove(side)
    tell(f"{case.name}: without {side.name}: {failure}")


def one_round(case, turn, files, table):
    at = (turn - 1) % max(len(case.sides), 1)
    for side in case.sides[at:] + case.sides[:at]:
        if table.has(case.name, side.name, turn):
            continue
        try:
            if side.name not in case.flags:
                case.flags[side.name] = choose_flags(case, side, files, table)
            flags = case.flags[side.name]
            one_run(case, side, turn, lambda: side.measure(
                files, case.workload, flags), table)
        except rivals.Failed as failure:
            leave_out(case, side, failure)


def run_all(a, files, table):
    """Rounds of all cases in turn, so that an early end leaves some of each.
    """
    cases = list(all_cases(a))
    for turn in range(1, a.rounds + 1):
        for case in cases:
            one_round(case, turn, files, table)
    for case in cases:
        for line in table.verdicts(case.name):
            print(line)


def pin(cores):
    """Us, and all that we start, to so many cores."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < cores:
        tell(f"warning: {len(allowed)} cores, where {cores} were asked for")
    os.sched_setaffinity(0, allowed[:cores])


def length_range(text):
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and
            1 <= int(low) <= int(high)):
        raise argparse.ArgumentTypeError(f"{text}: give a range: 16-1024")
    return int(low), int(high)


def count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number above 0")
    return int(text)


def side_names(text):
    names = text.split(",")
    for name in names:
        if name not in SIDES:
            raise argparse.ArgumentTypeError(
                f"{name}: no side: {', '.join(SIDES)}")
    return names


def options():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("tool")
    p.add_argument("--llama-cpp", metavar="DIR")
    p.add_argument("--ik", metavar="DIR")
    p.add_argument("--llama-server", metavar="PATH")
    p.add_argument("--output", default="requests.csv", metavar="FILE.csv")
    p.add_argument("--folder", help="keep the weights here")
    p.add_argument("--only", type=side_names, metavar="SIDE,...")
    p.add_argument("--list", action="store_true",
                   help="print the cases and their sides")
    p.add_argument("--rounds", type=count, default=3)
    p.add_argument("--requests", type=count, default=500)
    p.add_argument("--prompt", type=length_range, default=(16, 1024),
                   metavar="LOW-HIGH", help="tokens of a prompt")
    p.add_argument("--new", type=length_range, default=(1, 256),
                   metavar="LOW-HIGH", help="tokens of an answer")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--reuse", action="store_true")
    p.add_argument("--common", type=count, default=512)
    p.add_argument("--parallel", type=compare_llama_cpp.numbers,
                   default=[16, 32], metavar="16,32",
                   help="sequences at once of the rivals: the best counts")
    p.add_argument("--batches", type=count, default=1,
                   help="of a batched bench, in a round")
    p.add_argument("--cores", type=count, default=2)
    p.add_argument("--shape", default="tinyllama-1.1b",
                   choices=compare_llama_cpp.SHAPES)
    p.add_argument("--dtype", default="int8",
                   choices=compare_llama_cpp.DTYPES)
    p.add_argument("--flags", type=shlex.split, default=[],
                   help="more options of noodle-mpi run, in one word")
    p.add_argument("--quick", action="store_true",
                   help="does it work: 12 short requests, one round")
    p.add_argument("--anyway", action="store_true",
                   help="also with a rival that lacks AVX-512")
    return p


def parse():
    p = options()
    if "--quick" in sys.argv[1:]:
        p.set_defaults(**QUICK)
    a = p.parse_args()
    if a.new[1] < 2:
        p.error("--new: a rival's batch needs answers of 2 tokens or more")
    a.tool = os.path.abspath(a.tool)
    a.rivals = rivals.built(a.llama_cpp, a.ik)
    a.sides = all_sides(a)
    return a


def provenance(a):
    return tool_runs.provenance(
        tool=tool_runs.version(a.tool),
        cores=f"{a.cores} of them for each in turn",
        **{rival.name: rival.describe() for rival in a.rivals})


def main():
    a = parse()
    if a.list:
        for case in all_cases(a):
            print("\n".join(f"{case.name}: {side.name}"
                            for side in case.sides))
        return
    # Also ended that way, we end our servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    pin(a.cores)
    table = request_table.RequestTable(a.output, provenance(a))
    with tool_runs.folder(a.folder) as folder:
        try:
            files = make_files(a, folder)
            compare_llama_cpp.refuse_lesser(a, files.theirs, folder)
            run_all(a, files, table)
        except rivals.Failed as failure:
            sys.exit(str(failure))


if __name__ == "__main__":
    main()
