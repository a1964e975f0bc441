"""What the benches that run the program share: prompts, runs, folders,
provenance."""
import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile


def write_prompts(path, count, length):
    """The same lines of letters every time: a byte is a token."""
    rng = random.Random(1)
    with open(path, "w") as f:
        for _ in range(count):
            f.write("".join(rng.choices("abcdefghij klmnop", k=length)) + "\n")


def run(tool, np, arguments, timeout=300):
    """`tool run ARGUMENTS --json` on np ranks of this node; its JSON."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    command = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "-np",
               str(np), tool, "run", *arguments, "--temp", "0", "--ignore-eos",
               "--json"]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout)
    if done.returncode != 0:
        sys.exit(done.stderr.decode())
    return json.loads(done.stdout)


class Busy:
    """How busy the machine is from now on with what we did not start."""

    def __init__(self):
        self.all_sec, self.busy_sec = self.cores()
        self.own_sec = self.own()

    @staticmethod
    def cores():
        """Seconds of all cores since the start: in all, not idle."""
        with open("/proc/stat") as f:
            ticks = [int(field) for field in f.readline().split()[1:9]]
        tick = 1 / os.sysconf("SC_CLK_TCK")
        return sum(ticks) * tick, (sum(ticks) - ticks[3] - ticks[4]) * tick

    @staticmethod
    def own():
        used = [resource.getrusage(who) for who in
                (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def others_percent(self):
        """Of all cores."""
        all_sec, busy_sec = self.cores()
        others = busy_sec - self.busy_sec - (self.own() - self.own_sec)
        return 100 * max(others, 0) / max(all_sec - self.all_sec, 1e-9)


def processor():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def version(tool):
    """The line in which it names itself and its build."""
    said = subprocess.run([tool, "--version"], stdout=subprocess.PIPE)
    return (said.stdout.decode().splitlines() or ["unknown"])[0]


def provenance(**facts):
    """Lines that say where numbers come from."""
    facts = {"processor": f"{processor()}, {os.cpu_count()} cores", **facts}
    return [f"{name}: {value}" for name, value in facts.items()]


def print_provenance(**facts):
    for line in provenance(**facts):
        print(f"# {line}")


@contextlib.contextmanager
def folder(kept):
    """The folder `kept`, made if it is not there; else one that goes away."""
    with tempfile.TemporaryDirectory() as temporary:
        path = os.path.abspath(kept or temporary)
        os.makedirs(path, exist_ok=True)
        yield path
