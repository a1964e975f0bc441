"""stdout that takes nothing (74), a reader that has gone (quiet, 0), standard
streams that are closed.
"""
import sys

import tool
from tool import Case

IO = 74
PRODUCTS = (["run", "-p", "x", "-n", "5"], ["run", "-p", "x", "--json"],
            ["help"], ["run", "--help"], ["--version"], ["tokenize", "abc"],
            ["inspect", "MODEL"], ["check", "MODEL"])


def command(product):
    return [tool.MODEL if word == "MODEL" else word for word in product]


class Streams(Case):
    def check_refused(self, shell, words):
        jobs = [(product, 0) for product in PRODUCTS] + [(PRODUCTS[0], 3)]
        ended = tool.together(lambda job: tool.run(
            *command(job[0]), np=job[1], shell=shell), jobs)
        for job, done in zip(jobs, ended):
            with self.subTest(job):
                self.check_error(done, IO, words)

    def test_a_full_device_is_an_error(self):
        self.check_refused(">/dev/full", ["stdout", "No space"])

    def test_a_closed_stdout_is_an_error(self):
        self.check_refused(">&-", ["stdout", "cannot write"])

    def test_a_reader_that_has_gone_ends_the_run_quietly(self):
        folder = tool.make_folder("streams")
        tool.write(folder, "many.txt", "ROMEO:\n" * 3000)
        for np in (0, 3):
            with self.subTest(np=np):
                done = self.run_well(
                    "run", "--prompts", "many.txt", "-n", "-1", np=np,
                    cwd=folder, shell="| head -c 5; exit ${PIPESTATUS[0]}")
                self.assertEqual(done.out, b"ROMEO", done)
                self.assertLess(done.sec, 20.0, done)

    def test_a_page_that_nobody_reads_on_is_no_error(self):
        for product in (["help", "run"], ["inspect", "MODEL"], ["--version"]):
            with self.subTest(product):
                done = self.run_well(
                    *command(product),
                    shell="| head -c 5; exit ${PIPESTATUS[0]}")
                self.assertEqual(done.err, "", done)

    def test_closed_stdin_and_stderr_do_not_get_into_files(self):
        for shell in ("<&-", "2>&-", "<&- 2>&-"):
            with self.subTest(shell):
                folder = tool.make_folder("streams", "closed")
                done = self.run_well("run", "-p", "ROMEO:", "-n", "5", "--out",
                                     "texts", cwd=folder, shell=shell)
                self.assertTrue(done.text.startswith("ROMEO:"), done)
                with open(f"{folder}/texts/0001.txt", encoding="utf-8") as f:
                    self.assertEqual("ROMEO:" + f.read() + "\n", done.text)


if __name__ == "__main__":
    sys.exit(tool.main())
