"""Start noodle-mpi as its users do and see what it leaves behind.

Every run gets a session (setsid) of its own: who of it is still alive can then
be read from /proc, whatever process groups the launcher made.  Test files call
main(); they are run as

    test_X.py NOODLE_MPI SCRATCH_FOLDER [arguments of unittest]

and skip what needs a package that is not there.
"""
import concurrent.futures
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import h5py
except ImportError:
    h5py = None
try:
    import numpy
except ImportError:
    numpy = None

GONE_SEC = 5.0  # after the end nothing of a run may live longer
LIMIT_SEC = 60.0  # a run that takes longer hangs
LAUNCHER = [os.environ.get("NDL_MPIRUN", "mpirun"), "-q", "--oversubscribe",
            "--bind-to", "none", "-np"]
HERE = os.path.dirname(os.path.abspath(__file__))

PATH = ""  # of noodle-mpi
SCRATCH = ""  # a folder that is ours
MODEL = ""  # the bundled weights file


class Result:
    """What a finished run said."""

    def __init__(self, command, code, out, err, sec):
        self.command = command
        self.code = code
        self.out = out
        self.err = err.decode("utf-8", "replace")
        self.sec = sec
        self.survivors = []

    @property
    def text(self):
        return self.out.decode("utf-8")

    def errors(self):
        """The lines that main printed for the user."""
        return [line for line in self.err.splitlines()
                if line.startswith("noodle-mpi: ")]

    def __str__(self):
        said = self.err if len(self.err) < 2000 else self.err[-2000:]
        return f"{self.command}: exit {self.code} after {self.sec:.1f} s" \
               f"\nstdout: {self.out[:300]!r}\nstderr: {said}"


def members(session):
    """Processes of a session that are alive: [(pid, name)]."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                name, rest = f.read().rsplit(")", 1)
        except OSError:
            continue
        state, _, _, sid = rest.split()[:4]
        if int(sid) == session and state not in "ZX":
            found.append((int(pid), name.split("(", 1)[1]))
    return found


def rank_of(pid):
    """A process's rank as its launcher has told it; 0 without one."""
    with open(f"/proc/{pid}/environ", "rb") as f:
        for entry in f.read().split(b"\0"):
            key, _, value = entry.partition(b"=")
            if key in (b"OMPI_COMM_WORLD_RANK", b"PMIX_RANK", b"PMI_RANK"):
                return int(value)
    return 0


def environment(changes=None, np=0):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
               OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", LC_ALL="C.UTF-8",
               OMPI_MCA_btl_vader_single_copy_mechanism="none")
    env.pop("NDL_CPU", None)
    env.pop("NDL_LOG", None)
    if np:
        # lsan.supp finds what Open MPI leaks by full stacks.  They make each
        # malloc slow, so that no other test has them.
        env["ASAN_OPTIONS"] = (env.get("ASAN_OPTIONS", "") +
                               ":fast_unwind_on_malloc=0")
    else:
        # The leak checker crashes now and then beside the daemon that Open
        # MPI starts for a program without a launcher; the same code runs
        # under a launcher too.
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    env.update(changes or {})
    return env


class Run:
    """A run in progress.

    np     number of ranks under the launcher; 0: without one
    stdin  as in Popen
    shell  what a shell adds behind the program, such as ">&-"; under a
           launcher each rank has that shell, because a launcher keeps what
           happens to its own stdout to itself

    What it writes goes to files, so that somebody who stays behind with an
    end of a pipe cannot make us wait.
    """

    def __init__(self, *args, np=0, cwd=None, env=None, stdout=None,
                 shell=None, stdin=subprocess.DEVNULL):
        command = [PATH, *args]
        if shell:
            command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
        if np:
            command = [*LAUNCHER, str(np), *command]
        self.command = " ".join(
            str(c)[:60] if isinstance(c, str) else repr(c) for c in command)
        self.np = max(np, 1)
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=cwd or SCRATCH, env=environment(env, np),
            stdin=stdin, stderr=self.err,
            stdout=self.out if stdout is None else stdout,
            start_new_session=True)

    def members(self):
        return members(self.process.pid)

    def ranks(self):
        """Pids of the program's processes by rank."""
        found = {}
        for pid, name in self.members():
            if name == os.path.basename(PATH)[:15]:
                found[rank_of(pid)] = pid
        return found

    def signal_leader(self, sig):
        """To what a user's kill would name: the launcher, or the program."""
        self.process.send_signal(sig)

    def signal_all(self, sig):
        """As the terminal's ^C: to the foreground group."""
        os.killpg(self.process.pid, sig)

    def end(self, limit=LIMIT_SEC):
        """Wait, and see that all of it is gone soon after."""
        late = False
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
            self.kill()
            self.process.wait()
        ended = time.monotonic()
        while self.members() and time.monotonic() < ended + GONE_SEC:
            time.sleep(0.02)
        survivors = [name for _, name in self.members()]
        self.kill()
        result = Result(self.command, self.process.returncode,
                        read_all(self.out), read_all(self.err),
                        ended - self.start)
        result.survivors = survivors
        if self.process.stdout:
            self.process.stdout.close()
        if late:
            result.survivors.append(f"ran longer than {limit:.0f} s")
        return result

    def kill(self):
        for pid, _ in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def read_all(file):
    with file:
        file.seek(0)
        return file.read()


def run(*args, limit=LIMIT_SEC, **how):
    return Run(*args, **how).end(limit)


def run_on_terminal(*args, cwd=None):
    """Run with a terminal as stderr.  @return (exit status, what it shows)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PATH, *args], cwd=cwd or SCRATCH, env=environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
        start_new_session=True)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(LIMIT_SEC), said


def together(call, many):
    """[call(x) for x in many], several at a time: a run mostly waits for its
    launcher."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        return list(pool.map(call, many))


def make_folder(*names):
    """An empty folder of our own."""
    path = os.path.join(SCRATCH, *names)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def tree(folder):
    """Everything below a folder, with sizes."""
    return sorted((os.path.relpath(os.path.join(at, name), folder),
                   os.path.getsize(os.path.join(at, name)))
                  for at, _, names in os.walk(folder) for name in names)


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


class Case(unittest.TestCase):
    """A test with the words that these tests share."""

    def run_well(self, *args, **how):
        """Run; it must succeed and leave nobody."""
        done = run(*args, **how)
        self.check_gone(done)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.errors(), [], done)
        return done

    def check_gone(self, done):
        self.assertEqual(done.survivors, [], f"still there: {done}")

    def open_pipe(self, path, started):
        """The end of a named pipe that writes, once the run reads it."""
        until = time.monotonic() + 30
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                self.assertLess(time.monotonic(), until, "it does not open")
                self.assertIsNone(started.process.poll(), "it ended by itself")
                time.sleep(0.01)

    def check_error(self, done, code, words):
        """Exactly one line for the user, and a code that tells the kind."""
        self.check_gone(done)
        self.assertEqual(done.code, code, done)
        self.assertEqual(len(done.errors()), 1, done)
        for word in words:
            self.assertIn(word, done.errors()[0], done)
        for word in ("MPI_ABORT", "MPI_Abort", "HDF5-DIAG", "Sanitizer"):
            self.assertNotIn(word, done.err, done)


def main():
    global PATH, SCRATCH, MODEL
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    PATH, SCRATCH = map(os.path.abspath, sys.argv[1:3])
    MODEL = os.path.join(os.path.dirname(PATH), "..", "share", "noodle-mpi",
                         "models", "shakespeare.h5")
    os.makedirs(SCRATCH, exist_ok=True)
    del sys.argv[1:3]
    unittest.main(module="__main__", verbosity=2)
