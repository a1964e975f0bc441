"""Signals: INT finishes the step and prints what there is (130), a second one
ends at once, TERM the same (143), USR1 says "again" (75); and whatever dies,
all the others are gone within seconds.
"""
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time

import tool
from tool import Case

END_SEC = 5.0
N_PROMPTS = 4000  # more than a minute of work
F_SETPIPE_SZ = 1031  # of Linux; the module has no name for it before 3.10


class Signals(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("signals")
        tool.write(cls.folder, "many.txt",
                   "".join(f"ROMEO {i}:\n" for i in range(N_PROMPTS)))
        cls.args = ["run", "--prompts", "many.txt", "--ignore-eos", "-n", "-1"]
        cls.first = tool.run("run", "-p", "ROMEO 0:", "--ignore-eos", "-n",
                             "-1").text

    def start(self, np):
        """A run that has already written its first text."""
        fd, self.path = tempfile.mkstemp(dir=self.folder)
        run = tool.Run(*self.args, np=np, cwd=self.folder, stdout=fd)
        os.close(fd)
        end = time.monotonic() + 30
        while os.path.getsize(self.path) < 2000:
            self.assertLess(time.monotonic(), end, "nothing is written")
            self.assertIsNone(run.process.poll(), "it has ended by itself")
            time.sleep(0.01)
        return run

    def end(self, run, limit=END_SEC):
        start = time.monotonic()
        done = run.end(3 * limit)
        self.check_gone(done)
        self.assertLess(time.monotonic() - start, limit + tool.GONE_SEC, done)
        return done

    def check_drained(self, done, code, word):
        """The texts so far, then the statistics, then one line."""
        self.check_error(done, code, [word])
        for title in ("prompt ", "decode ", "TTFT", "stage "):
            self.assertIn(f"\n{title}", done.err, done)
        with open(self.path, encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(text[:len(self.first)], self.first)
        self.assertTrue(text.endswith("\n"))

    def test_one_process(self):
        for sig, code, word in ((signal.SIGINT, 130, "interrupted"),
                                (signal.SIGTERM, 143, "terminated"),
                                (signal.SIGUSR1, 75, "again")):
            with self.subTest(sig):
                run = self.start(np=0)
                run.signal_leader(sig)
                self.check_drained(self.end(run), code, word)

    def test_rank_0_drains_the_pipeline(self):
        run = self.start(np=3)
        os.kill(run.ranks()[0], signal.SIGINT)
        self.check_drained(self.end(run), 130, "interrupted")

    def test_all_ranks_at_once(self):
        run = self.start(np=3)
        for pid in run.ranks().values():
            os.kill(pid, signal.SIGTERM)
        self.check_drained(self.end(run), 143, "terminated")

    def test_a_signal_to_one_stage_ends_the_run_in_order(self):
        run = self.start(np=3)
        os.kill(run.ranks()[1], signal.SIGINT)
        done = self.end(run, limit=2 * END_SEC)
        self.check_drained(done, 130, "rank 1")

    def test_a_second_interrupt_ends_at_once(self):
        # A small pipe that nobody reads on: the program hangs in its write.
        run = tool.Run(*self.args, cwd=self.folder, stdout=subprocess.PIPE)
        pipe = run.process.stdout.fileno()
        fcntl.fcntl(pipe, F_SETPIPE_SZ, 4096)
        os.read(pipe, 1)
        time.sleep(1.0)
        run.signal_leader(signal.SIGINT)
        time.sleep(0.3)
        run.signal_leader(signal.SIGINT)
        start = time.monotonic()
        run.process.wait(END_SEC)
        self.assertLess(time.monotonic() - start, 1.0)
        self.assertEqual(self.end(run).code, 130)

    def test_a_second_interrupt_does_not_wait_for_a_stage(self):
        run = self.start(np=3)
        ranks = run.ranks()
        os.kill(ranks[1], signal.SIGSTOP)
        os.kill(ranks[0], signal.SIGINT)
        time.sleep(0.5)
        self.assertIn(0, run.ranks(), "nobody holds the pipeline up")
        os.kill(ranks[0], signal.SIGINT)
        self.assertEqual(self.end(run).code, 130)

    def test_the_launcher_gets_the_signal(self):
        # What the launcher returns is its own affair, but not success.
        runs = [self.start(np=3), self.start(np=3)]
        runs[0].signal_leader(signal.SIGINT)
        runs[1].signal_leader(signal.SIGTERM)
        for run in runs:
            done = self.end(run)
            self.assertNotEqual(done.code, 0, done)

    def test_a_killed_rank_takes_the_others_with_it(self):
        run = self.start(np=3)
        os.kill(run.ranks()[2], signal.SIGKILL)
        self.assertEqual(self.end(run).code, 137)

    def test_a_killed_launcher_takes_the_ranks_with_it(self):
        run = self.start(np=3)
        run.signal_leader(signal.SIGKILL)
        self.end(run)

    def check_signal_at_pipe(self, np, args, sig, code):
        path = os.path.join(self.folder, "slow.pipe")
        os.mkfifo(path)
        run = tool.Run(*args, path, np=np, cwd=self.folder)
        pipe = self.open_pipe(path, run)
        os.write(pipe, b"ROMEO")
        time.sleep(0.2)
        os.kill(run.ranks()[0], sig)
        done = self.end(run)
        os.close(pipe)
        os.remove(path)
        self.check_error(done, code, [path, "still being read"])
        self.assertEqual(done.text, "")

    def test_a_pipe_that_says_nothing_more_is_left(self):
        for np, sig, code in ((0, signal.SIGINT, 130),
                              (3, signal.SIGTERM, 143)):
            for args in (["run", "-f"], ["run", "--prompts"], ["eval", "-f"]):
                with self.subTest(np=np, args=args):
                    self.check_signal_at_pipe(np, args, sig, code)


if __name__ == "__main__":
    sys.exit(tool.main())
