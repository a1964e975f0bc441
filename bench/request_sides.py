"""Who answers the requests of requests.py, how each is called, and how its
answer is read.

A side has a name, sets of flags (`variants`) that may be its best one,
try_out(), a short run to choose among them, and measure(), which returns
Figures: one for each number of sequences at once that it was run with.
"""
import contextlib
import json
import os
import re
import statistics
import time
from dataclasses import dataclass

import rivals
import servers

RUN_LIMIT_SEC = 6 * 3600
# A try has all of the prompts' length, but few of them, and a few steps.
TRY_PARALLEL, TRY_STEPS = 8, 8
# What starting and ending ranks may take beside what they say they took.
LAUNCH_SEC, LAUNCH_SHARE = 10, 0.03

ROW = re.compile(r"^\|((?:\s*[\d.]+\s*\|){10})\s*$")
READY = re.compile(r"^ready after ([\d.]+) s", re.M)
HITS = re.compile(r"^prompt +\d+ tokens, (\d+) of them not computed", re.M)


@dataclass
class Figures:
    """What a side took for a workload, from ready to the last token."""
    flags: str
    seconds: float
    measured: float = 1.0  # share of the work that was really run
    ttft_median: str = ""  # seconds from the start of all
    ttft_95: str = ""
    reused_tokens: str = ""


class Ours:
    """noodle-mpi run --requests.

    @param ranks    of the job.
    @param options  of run, beside the files.
    """
    variants = [()]

    def __init__(self, name, tool, ranks, options):
        self.name = name
        self.tool = os.path.abspath(tool)
        self.ranks = ranks
        self.options = options

    def measure(self, files, workload, flags):
        asked = os.path.join(files.folder, "requests.jsonl")
        said = os.path.join(files.folder, "answers.jsonl")
        workload.write(asked)
        # Answers that are there would not be computed again.
        with contextlib.suppress(FileNotFoundError):
            os.remove(said)
        command = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none",
                   "-np", str(self.ranks), self.tool, "run", "-m", files.ours,
                   "--requests", asked, "-o", said, "--metrics", "off",
                   *self.options]
        start = time.monotonic()
        _, err = rivals.run(command, files.folder, RUN_LIMIT_SEC)
        wall = time.monotonic() - start
        timings = read_answers(said, workload)
        sec = max(x["total_ms"] for x in timings) / 1e3
        check_seconds(sec, wall, err)
        first = sorted(x["ttft_ms"] / 1e3 for x in timings)
        hits = HITS.search(err)
        return [Figures(
            " ".join(self.options), sec,
            ttft_median=f"{statistics.median(first):.3f}",
            ttft_95=f"{first[(95 * len(first) + 99) // 100 - 1]:.3f}",
            reused_tokens=hits.group(1) if hits else "0")]


def read_answers(path, workload):
    """The timings of all answers, each of which is all that was asked for."""
    asked = {request.name: request for request in workload.requests}
    timings = []
    with open(path) as f:
        for line in f:
            try:
                one = json.loads(line)
                request = asked.pop(one["custom_id"])
                body = one["response"]["body"]
                usage = body["usage"]
                found = usage["prompt_tokens"], usage["completion_tokens"]
                timings.append({name: float(body["timings"][name])
                                for name in ("ttft_ms", "total_ms")})
            except (ValueError, KeyError, TypeError):
                raise rivals.Failed(f"{path}: no answer to a request: "
                                    f"{line.strip()[:300]}")
            check_tokens(path, request, found)
    if asked:
        raise rivals.Failed(f"{path}: {len(asked)} requests are not answered, "
                            f"{next(iter(asked))} is one")
    return timings


def check_tokens(where, request, found):
    """found: (tokens of the prompt, new tokens), as an answer counts them."""
    if found != (len(request.prompt), request.new):
        raise rivals.Failed(
            f"{where}: {request.name}: {found[0]} + {found[1]} tokens of "
            f"{len(request.prompt)} + {request.new}")


def check_seconds(sec, wall, log):
    """What the answers say they took against our own clock."""
    ready = READY.search(log)
    if not ready:
        raise rivals.Failed(f"no line 'ready after N s': {log.strip()[-300:]}")
    outside = wall - float(ready.group(1)) - sec
    if not 0 < sec <= wall or outside > LAUNCH_SEC + LAUNCH_SHARE * wall:
        raise rivals.Failed(
            f"the answers' timings end after {sec:.1f} s, but the run took "
            f"{wall:.1f} s, {ready.group(1)} s of them to get ready")


class Batched:
    """llama-batched-bench of a rival in the case that is ideal for it: all
    prompts have the mean length and all answers too, so that no slot is ever
    empty and nobody waits for a longer one; the same tokens in all.

    @param cores      threads.
    @param parallels  sequences at once, each measured by itself.
    @param batches    how many batches of so many sequences are run.
    """

    def __init__(self, rival, cores, parallels, batches):
        self.name = rival.name
        self.rival = rival
        self.threads = cores
        self.variants = rival.variants
        self.parallels = parallels
        self.batches = batches

    def options(self, flags):
        return self.rival.batched_flags(flags)

    def try_out(self, files, workload, flags):
        steps = min(TRY_STEPS, workload.mean_steps())
        return self.run(files, workload, flags, [TRY_PARALLEL], steps)[0]

    def measure(self, files, workload, flags):
        return self.run(files, workload, flags,
                        self.parallels * self.batches, workload.mean_steps())

    def run(self, files, workload, flags, parallels, steps):
        prompt = workload.mean_prompt()
        cells = max(parallels) * (-(-(prompt + steps) // 256) * 256)
        command = [self.rival.batched, "-m", files.theirs, "-t",
                   str(self.threads), "-tb", str(self.threads), "-c",
                   str(cells), "-b", "2048", "-ub", "512", "-npp", str(prompt),
                   "-ntg", str(steps), "-npl", ",".join(map(str, parallels)),
                   *self.options(flags)]
        out, err = rivals.run(command, files.folder, RUN_LIMIT_SEC)
        rows = read_rows(out + "\n" + err, prompt, steps, parallels)
        return [extrapolated(workload, prompt, steps, found,
                             " ".join([*flags, "-npl", str(n)]))
                for n, found in rows.items()]


def read_rows(text, prompt, steps, parallels):
    """{sequences: [(seconds of the prompts, seconds of the steps)]} of the
    table that llama-batched-bench prints."""
    found = {}
    for line in text.splitlines():
        row = ROW.match(line.strip())
        if not row:
            continue
        cells = [float(cell) for cell in row.group(1).split("|")[:10]]
        if cells[:2] != [prompt, steps] or min(cells[4], cells[6]) <= 0:
            raise rivals.Failed("llama-batched-bench: not the row that was "
                                f"asked for: {line.strip()}")
        found.setdefault(int(cells[2]), []).append((cells[4], cells[6]))
    if {n: len(rows) for n, rows in found.items()} != {
            n: parallels.count(n) for n in parallels}:
        raise rivals.Failed(
            f"llama-batched-bench: no rows of {parallels} sequences, but of "
            f"{sorted(found)}: {text.strip()[-300:]}")
    return found


def extrapolated(workload, prompt, steps, batches, flags):
    """All of a workload at the speed of some batches of it."""
    parallel = int(flags.rsplit(" ", 1)[1])
    sequences = parallel * len(batches)
    prompts = sum(batch[0] for batch in batches) / (sequences * prompt)
    step = sum(batch[1] for batch in batches) / (sequences * steps)
    run = sequences * (prompt + steps)
    return Figures(flags, workload.prompt_tokens * prompts +
                   workload.steps() * step,
                   run / (workload.prompt_tokens + workload.steps()))


class Rpc(Batched):
    """The same with its layers on servers of this machine, one for a core."""
    NAMES = ("ggml-rpc-server", "rpc-server")  # today's and an older one

    def __init__(self, rival, cores, parallels, batches):
        super().__init__(rival, 1, parallels, batches)
        self.name = rival.name + "-rpc"
        self.servers = cores
        self.variants = [("-fa", fa, "-lm", "mmap") for fa in rivals.ON_OFF]
        self.ports = []

    @staticmethod
    def program(folder):
        """The server of a build; None: it was built without."""
        for name in Rpc.NAMES:
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK):
                return path
        return None

    def options(self, flags):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return [*super().options(flags), "-ngl", "99", "-ts",
                ",".join("1" * self.servers), "--rpc", hosts]

    def command(self, port):
        return [self.program(self.rival.folder), "-t", "1", "-H", "127.0.0.1",
                "-p", str(port)]

    def run(self, files, workload, flags, parallels, steps):
        with contextlib.ExitStack() as stack:
            self.ports = [stack.enter_context(servers.Server(
                self.command, os.path.join(files.folder, f"rpc{i}.log"))).port
                for i in range(self.servers)]
            return super().run(files, workload, flags, parallels, steps)
