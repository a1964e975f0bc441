"""metrics.h5 of real runs: every step is there, its times add up to the time
that passed, and what was flushed outlives the run."""
import os
import signal
import time
import unittest

import tool
from tool import Case, h5py, numpy

try:
    import pandas
except ImportError:
    pandas = None

CREATE = 73
PARTS = ("receive_sec", "busy_sec", "send_sec", "bubble_sec", "other_sec")
NEW = 12
# Prompts that fill the batches: layers, not sampling, take the time.
LINES = ["What say you, good my lord, to this fair night? " * n
         for n in (9, 13, 11, 12, 14, 10, 1)] * 8
# Where other programs want the processors, a pause falls between two timers
# now and then; it can only lower a share, so that the best run tells.
TRIES = 5


def read(f):
    """{table: {column: values}} of an open file."""
    return {name: {k: v[:] for k, v in f[name].items()}
            for name in ("steps", "layers", "requests", "accounts", "plan",
                         "ranks")}


def follow(path):
    return h5py.File(path, "r", libver="latest", swmr=True)


def of_stage(table, stage):
    here = table["stage"] == stage
    return {k: v[here] for k, v in table.items()}


@unittest.skipUnless(h5py, "no h5py")
class Metrics(Case):
    def record(self, np, *args, lines=LINES, new=NEW):
        folder = tool.make_folder("metrics", f"np{np}")
        tool.write(folder, "p.txt", "\n".join(lines) + "\n")
        self.run_well("run", "--prompts", "p.txt", "-n", str(new), "-t", "1",
                      "--ignore-eos", "--no-prefix-reuse", *args,
                      np=np, cwd=folder)
        with h5py.File(os.path.join(folder, "metrics.h5"), "r") as f:
            attributes = {g: dict(f[g].attrs) for g in
                          ("/", "config", "system", "slurm", "plan")}
            return read(f), attributes

    def check_times(self, steps):
        """Of one stage: the parts of a step add up to the time since the last
        one."""
        parts = sum(steps[p] for p in PARTS)
        for p in PARTS:
            self.assertTrue((steps[p] >= 0).all(), p)
        between = numpy.diff(steps["end_sec"])
        self.assertTrue((between > 0).all())
        # Before the first step the stage waits for work: idle, in no part.
        self.assertGreaterEqual(steps["end_sec"][0], parts[0] - 1e-5)
        numpy.testing.assert_allclose(parts[1:], between, rtol=1e-5,
                                      atol=1e-5)

    def check_layers(self, layers, steps, n_blocks):
        """Of one stage: each layer ran in every step, and together they are
        part of the busy time."""
        for layer in numpy.unique(layers["layer"]):
            here = layers["layer"] == layer
            self.assertTrue((layers["min_sec"][here]
                             <= layers["max_sec"][here]).all())
            if layer <= n_blocks:
                self.assertEqual(layers["steps"][here].sum(),
                                 len(steps["batch"]), layer)
                self.assertEqual(layers["rows"][here].sum(),
                                 steps["rows"].sum(), layer)
        self.assertLessEqual(layers["sum_sec"].sum(),
                             steps["busy_sec"].sum() * 1.001)

    def check_requests(self, requests, steps):
        n = requests["new_tokens"]
        numpy.testing.assert_array_equal(numpy.sort(requests["request"]),
                                         numpy.arange(len(LINES)))
        self.assertEqual(set(n), {NEW})
        self.assertEqual(set(requests["finish"]), {b"length"})
        last = requests["ttft_sec"] + (n - 1) * requests["tpot_sec"]
        self.assertTrue((requests["ttft_sec"] > 0).all())
        self.assertTrue((requests["tpot_sec"] > 0).all())
        self.assertTrue((last <= requests["end_sec"] + 1e-6).all())
        # A token comes when the last stage has done the step of its row; the
        # clocks of ranks start within milliseconds of each other.
        self.assertLess(abs(requests["end_sec"].max()
                            - steps["end_sec"].max()), 0.5)

    def check_accounts(self, accounts, steps, requests):
        """Of one stage: each request has what its rows took, and together
        they have all of it."""
        numpy.testing.assert_array_equal(
            numpy.sort(accounts["request"]), numpy.sort(requests["request"]))
        at = numpy.argsort(accounts["request"])
        want = numpy.argsort(requests["request"])
        numpy.testing.assert_array_equal(
            accounts["rows"][at],
            (requests["prompt_tokens"] + requests["new_tokens"] - 1)[want])
        self.assertTrue((accounts["steps"] >= NEW).all())
        busy, all_busy = accounts["busy_sec"].sum(), steps["busy_sec"].sum()
        self.assertTrue(0.8 * all_busy < busy < 1.2 * all_busy)

    def covered(self, tables):
        """Of the stage where they are least: the share of the time that the
        named parts are, the share of the busy time that the layers are."""
        named, busy = [], []
        for s in tables["plan"]["stage"]:
            steps = of_stage(tables["steps"], s)
            wall = sum(steps[p].sum() for p in PARTS)
            named.append(1 - steps["other_sec"].sum() / wall)
            busy.append(of_stage(tables["layers"], s)["sum_sec"].sum()
                        / steps["busy_sec"].sum())
        return min(named), min(busy)

    def check_covered(self, np, *args):
        named, busy = [], []
        for _ in range(TRIES):
            shares = self.covered(self.check_run(np, *args))
            named.append(shares[0])
            busy.append(shares[1])
            if max(named) >= 0.98 and max(busy) >= 0.9:
                return
        self.fail(f"at best {max(named)} of the time has a name, and "
                  f"{max(busy)} of the busy time is in the layers")

    def check_run(self, np, *args):
        tables, attributes = self.record(np, *args)
        steps, layers, plan = (tables[t] for t in ("steps", "layers", "plan"))
        n_stages = max(np - 1, 1)
        self.assertEqual(plan["stage"].tolist(),
                         list(range(1, n_stages + 1)))
        n_blocks = plan["n_layers"].sum()
        self.assertEqual(n_blocks, 8)
        self.assertEqual(
            sorted(set(layers["layer"])), list(range(n_blocks + 2)))
        # The last token of a request is not fed back.
        rows = (tables["requests"]["prompt_tokens"].sum()
                + len(LINES) * (NEW - 1))
        n_steps = steps["batch"].max()
        for s in range(1, n_stages + 1):
            mine = of_stage(steps, s)
            self.assertEqual(mine["batch"].tolist(),
                             list(range(1, n_steps + 1)))
            self.assertEqual(mine["rows"].sum(), rows)
            self.check_times(mine)
            self.check_layers(of_stage(layers, s), mine, n_blocks)
            self.check_accounts(of_stage(tables["accounts"], s), mine,
                                tables["requests"])
            self.assertEqual(plan["steps"][s - 1], n_steps)
            for p in PARTS:
                self.assertAlmostEqual(plan[p][s - 1], mine[p].sum(), 6)
            self.assertAlmostEqual(plan["step_busy_sec"][s - 1],
                                   mine["busy_sec"].mean(), 9)
        self.check_requests(tables["requests"], steps)
        self.assertEqual(tables["ranks"]["rank"].tolist(), list(range(np)))
        self.assertEqual(attributes["config"]["predict"], b"%d" % NEW)
        self.assertIn("kernels", attributes["system"])
        self.assertEqual(attributes["slurm"]["OMPI_COMM_WORLD_SIZE"],
                         b"%d" % np)
        return tables

    def test_a_rank_alone_tells_every_step(self):
        self.check_covered(1)

    def test_a_pipeline_tells_every_step_of_every_stage(self):
        self.check_covered(3, "--plan", "estimate")

    def test_beside_measured_steps_stands_what_was_expected(self):
        tables = self.check_run(3, "--plan", "measure")
        steps, plan = tables["steps"], tables["plan"]
        self.assertTrue((steps["expected_sec"] > 0).all())
        for s in (1, 2):
            mine = of_stage(steps, s)
            self.assertAlmostEqual(
                plan["ratio"][s - 1],
                mine["busy_sec"].sum() / mine["expected_sec"].sum(), 6)
        # A number, not a promise: the machine may have other work.
        self.assertTrue((plan["ratio"] > 0.05).all())
        self.assertTrue((plan["ratio"] < 100).all())

    @unittest.skipUnless(pandas, "no pandas")
    def test_pandas_reads_a_table_in_one_line(self):
        self.record(1, lines=LINES[6:7], new=5)
        path = os.path.join(tool.SCRATCH, "metrics", "np1", "metrics.h5")
        table = pandas.DataFrame({k: v[:] for k, v in h5py.File(
            path, "r")["steps"].items()})
        self.assertEqual(table["stage"].tolist(), [1] * len(table))
        self.assertEqual(table["rows"].tolist()[-4:], [1] * 4)

    def test_kill_9_of_the_whole_job_leaves_what_was_flushed(self):
        for np in (1, 3):
            self.kill_and_look(np)

    def kill_and_look(self, np):
        folder = tool.make_folder("metrics", f"kill{np}")
        path = os.path.join(folder, "m.h5")
        tool.write(folder, "p.txt", "What say you?\n" * 900)
        job = tool.Run("run", "--prompts", "p.txt", "-n", "200", "-t", "1",
                       "--ignore-eos", "--plan", "estimate", "--metrics", path,
                       np=np, cwd=folder)
        try:
            seen = self.await_steps(job, path)
        finally:
            for sig in (signal.SIGSTOP, signal.SIGKILL):
                for pid, _ in job.members():
                    os.kill(pid, sig)
            done = job.end()
        self.assertNotEqual(done.code, 0, done)
        with follow(path) as f:
            tables = read(f)
        steps = tables["steps"]
        self.assertGreaterEqual(min(map(len, steps.values())), seen)
        self.assertEqual(tables["plan"]["stage"].tolist(),
                         list(range(1, max(np - 1, 1) + 1)))
        for s in set(steps["stage"]):
            mine = of_stage({k: v[:seen] for k, v in steps.items()}, s)
            self.assertEqual(mine["batch"].tolist(),
                             list(range(1, len(mine["batch"]) + 1)))
            self.check_times(mine)

    def await_steps(self, job, path):
        """Rows that a reader beside the run sees, once there are some."""
        end = time.monotonic() + tool.LIMIT_SEC
        while time.monotonic() < end and job.process.poll() is None:
            time.sleep(0.1)
            try:
                with follow(path) as f:
                    n = min(c.shape[0] for c in f["steps"].values())
            except OSError:
                continue  # not there yet
            if n > 100:
                return n
        self.fail("no steps to be seen while the job runs")

    def test_off_and_what_cannot_be_written(self):
        folder = tool.make_folder("metrics", "off")
        self.run_well("run", "-n", "2", "--metrics", "off", cwd=folder)
        self.assertEqual(os.listdir(folder), [])
        missing = os.path.join(folder, "none", "m.h5")
        for np in (0, 2):
            done = tool.run("run", "-n", "2", "--metrics", missing, np=np)
            self.check_error(done, CREATE, [missing, "--metrics off"])
        done = tool.run("run", "-n", "2", "--metrics", folder)
        self.check_error(done, CREATE, [folder, "--metrics off"])


if __name__ == "__main__":
    tool.main()
