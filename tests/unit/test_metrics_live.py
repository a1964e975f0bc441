"""metrics.h5 while it is written, and after its writer was killed, as users
read it: with h5py, and with pandas where that is installed.

    test_metrics_live.py METRICS_WRITER [arguments of unittest]
"""
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import h5py
    import numpy
except ImportError:
    h5py = None
try:
    import pandas
except ImportError:
    pandas = None

WRITER = ""
STAGES = 3
IO = 74  # exit code


def follow(path):
    return h5py.File(path, "r", libver="latest", swmr=True)


class Writer:
    def __init__(self, path):
        self.process = subprocess.Popen(
            [WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        return int(self.process.stdout.readline())

    def tell(self, line):
        """Have a command done."""
        self.send(line)
        return self.hear()

    def end(self):
        with self.process as p:
            p.stdin.close()
            p.stdout.read()
            return p.wait(60)

    def kill(self):
        """End it at once; the last number of steps that it said."""
        self.process.send_signal(signal.SIGKILL)
        said = [line for line in self.process.stdout.read().split("\n")[:-1]]
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        return int(said[-1]) if said else 0


@unittest.skipUnless(h5py, "no h5py")
class Live(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "metrics.h5")

    def check_steps(self, steps, n):
        """The first n rows are those that were written."""
        i = numpy.arange(n)
        for name, want in (("batch", i // STAGES), ("stage", i % STAGES + 1),
                           ("rows", i % 17), ("end_sec", i * 1.0),
                           ("busy_sec", 0.5 + i % 2)):
            numpy.testing.assert_array_equal(steps[name][:n], want, name)

    def test_rows_are_seen_when_flushed_and_not_before(self):
        writer = Writer(self.path)
        writer.tell("s 5")
        with follow(self.path) as f:
            steps = f["steps"]
            self.assertEqual(steps["batch"].shape, (0,))
            self.assertEqual(f["plan"]["rank"][:].tolist(), [1, 2, 3])
            for line, n in (("f 10 1", 5), ("s 90", 5), ("f 10.9 1", 5),
                            ("f 11 1", 95), ("s 4000", None),
                            ("f 12 1", 4095), ("s 1", 4095),
                            ("f 12 0", 4096)):
                writer.tell(line)
                if n is None:  # more than waits in memory
                    continue
                for column in steps.values():
                    column.refresh()
                    self.assertEqual(column.shape, (n,), line)
                self.check_steps(steps, n)
        writer.tell("c")
        self.assertEqual(writer.end(), 0)

    def test_a_reader_follows_a_writer_at_full_speed(self):
        writer = Writer(self.path)
        writer.send("r 29")
        seen = 0
        while seen < 4000:
            said = writer.hear()
            if said < seen + 200:
                continue
            with follow(self.path) as f:
                self.check_steps(f["steps"], said)
                for column in f["steps"].values():
                    self.assertGreaterEqual(column.shape[0], said)
                    column[:]
            seen = said
        self.assertGreaterEqual(writer.kill(), 0)

    def test_kill_9_leaves_what_was_flushed(self):
        seed = int(os.environ.get("NDL_TEST_SEED", 20260802))
        print(f"NDL_TEST_SEED={seed}")
        chance = random.Random(seed)
        for _ in range(6):
            writer = Writer(self.path)
            writer.send(f"r {chance.randint(1, 300)}")
            said = writer.hear()
            time.sleep(chance.random() * 0.05)
            said = max(said, writer.kill())
            with follow(self.path) as f:
                self.check_steps(f["steps"], said)
                n = (said + 9) // 10
                numpy.testing.assert_array_equal(
                    f["requests"]["new_tokens"][:n], numpy.arange(n) + 1)
                numpy.testing.assert_array_equal(
                    f["layers"]["steps"][:n], numpy.arange(n))
                self.assertEqual(f["requests"]["finish"][:1].tolist(),
                                 [b"stop"])
                self.assertEqual(f["config"].attrs["threads"], b"2")

    def test_a_closed_file_is_a_common_one_with_units_and_means(self):
        writer = Writer(self.path)
        writer.tell("s 3000")
        writer.tell("c")
        self.assertEqual(writer.end(), 0)
        with h5py.File(self.path, "r") as f:
            self.assertEqual(f.attrs["noodle_format"], b"metrics")
            self.assertEqual(list(f.attrs["format_version"]), [1, 1])
            for name in ("steps", "layers", "requests", "accounts", "plan",
                         "ranks"):
                lengths = {c.shape for c in f[name].values()}
                self.assertEqual(len(lengths), 1, name)
            for group in ("steps", "layers", "requests", "accounts", "plan"):
                for name, column in f[group].items():
                    # A writer that dies inside a write of a chunk with a
                    # checksum takes the whole chunk with it.
                    self.assertFalse(column.fletcher32, name)
                    unit = "s" if name.endswith("_sec") else \
                        "B" if name.endswith("_bytes") else ""
                    self.assertEqual(column.attrs.get("units", b"").decode(),
                                     unit, name)
            self.assertEqual(f["plan"]["steps"][:].tolist(), [1000] * 3)
            self.assertEqual(f["plan"]["step_busy_sec"][:].tolist(), [1.0] * 3)
            self.check_steps(f["steps"], 3000)
        self.assertLess(os.path.getsize(self.path), 2 << 20)

    def test_a_full_disk_is_an_error_and_no_crash(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        for kib in (20, 300, 700, 1000, 2000):
            done = subprocess.run(
                [WRITER, self.path], input="s 100\nf 0 0\ns 50000\nf 1 0\n",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                timeout=60, preexec_fn=limit, restore_signals=False)
            self.assertEqual(done.returncode, IO, done)
            self.assertIn("check the free space", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done)
            if "100" in done.stdout.split()[1:]:  # the first flush
                with follow(self.path) as f:
                    self.check_steps(f["steps"], 100)
            else:
                self.assertEqual(os.listdir(self.folder.name), [])

    @unittest.skipUnless(pandas, "no pandas")
    def test_pandas_reads_a_table_in_one_line(self):
        writer = Writer(self.path)
        writer.tell("s 100")
        writer.tell("c")
        self.assertEqual(writer.end(), 0)
        table = pandas.DataFrame({k: v[:] for k, v in h5py.File(
            self.path, "r")["steps"].items()})
        self.assertEqual(len(table), 100)
        self.assertEqual(table.groupby("stage")["busy_sec"].count().to_dict(),
                         {1: 34, 2: 33, 3: 33})
        self.assertEqual(table["batch"].iloc[99], 33)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    WRITER = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
