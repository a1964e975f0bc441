"""The programs that compare_llama_cpp.py measures: how each is called, with
which flags it may be fastest, and how its answer is read.

A work is (shape, dtype, threads) with either prompts and generation of one
sequence, or generation of several sequences at once.
"""
import json
import os
import re
import subprocess
import sys

ON_OFF = {"0": "off", "1": "on"}


class Failed(Exception):
    """A run that gave no numbers; the text says why."""


def run(command, folder, timeout=3600, may_fail=False):
    """stdout and stderr of a command; what it leaves behind goes to folder."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=env, cwd=folder,
                              timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: not done in {timeout} s")
    out, err = (text.decode("utf-8", "replace")
                for text in (done.stdout, done.stderr))
    if done.returncode != 0 and not may_fail:
        raise Failed(f"{' '.join(command)}: status {done.returncode}: "
                     f"{cause(err)}")
    return out, err


def cause(log):
    """The first line of a log that names a failure, else the last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"error|assert|fail", line, re.I):
            return line[:300]
    return lines[-1][:300] if lines else "nothing was said"


def rates_of_json(text, command):
    """{"pp512": row, "tg128": row}: the rows that llama-bench prints, and our
    bench, which prints the same."""
    found = {}
    try:
        rows = json.loads(text)
    except ValueError:
        raise Failed(f"{' '.join(command)}: no JSON:\n{text[-500:]}")
    for row in rows:
        if row["n_prompt"] and not row["n_gen"]:
            found[f"pp{row['n_prompt']}"] = row
        if row["n_gen"] and not row["n_prompt"]:
            found[f"tg{row['n_gen']}"] = row
    return found


class Ours:
    """noodle-mpi bench."""
    name = "noodle-mpi"

    def __init__(self, tool):
        self.tool = os.path.abspath(tool)
        self.variants = [()]

    def has(self, work):
        return True

    def measure(self, work, flags):
        command = [self.tool, "bench", "-m", work.ours, "-t",
                   str(work.threads), "-b", str(work.seqs), "-ub", "512",
                   "-p", str(work.prompt), "-n", str(work.gen), "-r", "1",
                   "-o", "json", *flags]
        out, _ = run(command, work.folder)
        return {test: (row["avg_ts"], row)
                for test, row in rates_of_json(out, command).items()}


class Rival:
    """llama-bench and llama-batched-bench of one build."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.bench = os.path.join(self.folder, "llama-bench")
        self.batched = os.path.join(self.folder, "llama-batched-bench")
        if not os.access(self.bench, os.X_OK):
            sys.exit(f"{self.bench} cannot be run: give the folder of the "
                     f"binaries of {self.name} that you built")

    def has(self, work):
        return work.seqs == 1 or os.access(self.batched, os.X_OK)

    def measure(self, work, flags):
        return (self.measure_one if work.seqs == 1 else
                self.measure_batch)(work, flags)

    def measure_one(self, work, flags):
        command = [self.bench, "-m", work.theirs, "-t", str(work.threads),
                   "-ub", "512", "-p", str(work.prompt), "-n", str(work.gen),
                   "-r", "1", "-o", "json", *flags]
        out, _ = run(command, work.folder)
        return {test: (row["avg_ts"], row)
                for test, row in rates_of_json(out, command).items()}

    def measure_batch(self, work, flags):
        """Generation of the sequences behind a prompt of one token each."""
        cells = work.seqs * (work.gen + 1)
        command = [self.batched, "-m", work.theirs, "-t", str(work.threads),
                   "-tb", str(work.threads), "-c",
                   str(max(512, -(-cells // 256) * 256)), "-b", "2048", "-ub",
                   "512", "-npp", "1", "-ntg", str(work.gen), "-npl",
                   str(work.seqs), *self.batched_flags(flags)]
        out, err = run(command, work.folder)
        rows = re.findall(r"^\|((?:\s*[\d.]+\s*\|){10})\s*$", out + "\n" + err,
                          re.M)
        if len(rows) != 1:
            raise Failed(f"{' '.join(command)}: no row of numbers:\n"
                         f"{out[-500:]}")
        rate = float(rows[0].split("|")[7])
        return {f"tg{work.gen}": (rate, None)}

    def describe(self):
        """What the build was told about the processor, if its cache of CMake
        lies beside the binaries."""
        cache = os.path.join(os.path.dirname(self.folder), "CMakeCache.txt")
        if not os.path.exists(cache):
            return "unknown build"
        with open(cache) as f:
            flags = re.findall(r"^GGML_(NATIVE|AVX\w*):BOOL=(\w+)$", f.read(),
                               re.M)
        on = [name for name, value in flags if value in ("ON", "1", "TRUE")]
        return " ".join(sorted(on)) or "no processor flags"


class LlamaCpp(Rival):
    name = "llama.cpp"
    variants = [("-fa", fa, "-lm", mode)
                for fa in ON_OFF for mode in ("mmap", "none")]

    def batched_flags(self, flags):
        pairs = dict(zip(flags[::2], flags[1::2]))
        return ["-fa", ON_OFF[pairs["-fa"]], "-lm", pairs["-lm"],
                "--output-format", "md"]

    def check(self, weights, folder):
        """@return None, or what is wrong with the build."""
        flags = self.describe().split()
        if "unknown" in flags or not has_cpu_flag("avx512f"):
            return None
        if "AVX512" in flags or "NATIVE" in flags:
            return None
        return "built without AVX-512, which this processor has"


class Ik(Rival):
    name = "ik_llama.cpp"
    variants = [("-rtr", "1", "-fa", "1"), ("-rtr", "1", "-fa", "0"),
                ("-rtr", "0", "-fa", "1", "-mmp", "1"),
                ("-rtr", "0", "-fa", "1", "-mmp", "0"),
                ("-rtr", "0", "-fa", "0", "-mmp", "1")]

    def batched_flags(self, flags):
        pairs = dict(zip(flags[::2], flags[1::2]))
        return ((["-rtr"] if pairs["-rtr"] == "1" else []) +
                ["-fa", ON_OFF[pairs["-fa"]]] +
                (["--no-mmap"] if pairs.get("-mmp") == "0" else []))

    def check(self, weights, folder):
        """Its log says whether its fast kernels were compiled in, before
        anything is computed: that may fail."""
        _, err = run([self.bench, "-m", weights, "-p", "1", "-n", "0", "-r",
                      "1", "-w", "0", "-t", "1", "-v"], folder, may_fail=True)
        if "HAVE_FANCY_SIMD is defined" in err:
            return None
        if not has_cpu_flag("avx512_vnni"):
            return None
        return ("built without its AVX-512 kernels (HAVE_FANCY_SIMD), which "
                "this processor can run")


def built(llama_cpp, ik):
    """Those that there is a folder of binaries for."""
    return ([LlamaCpp(llama_cpp)] if llama_cpp else []) + (
        [Ik(ik)] if ik else [])


def has_cpu_flag(name):
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("flags"):
                return name in line.split()
    return False
