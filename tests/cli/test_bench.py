"""noodle-mpi bench: every format by a reader of its kind, and what it
refuses."""
import csv
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import time

import tool
from tool import Case

USAGE, NO_INPUT, DATA = 64, 66, 65
# Two places, three tests in each.
ASK = ("bench", "-p", "16", "-n", "4", "-pg", "8,2", "-b", "1,4", "-t", "1",
       "-d", "8", "-r", "2")
TESTS = [(16, 0), (0, 4), (8, 2)]
LLAMA_BENCH = (
    "build_commit build_number cpu_info gpu_info backends model_filename "
    "model_type model_size model_n_params n_batch n_ubatch n_threads type_k "
    "type_v n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts "
    "stddev_ts").split()
OURS = ("median_ts n_seqs load flop_share bytes_share peak_gflops "
        "peak_gb_s gflops gb_s gemm_gflops gemm_share").split()
COLUMNS = LLAMA_BENCH + OURS
NUMBERS = [name for name in COLUMNS
           if name.startswith(("n_", "avg_", "stddev_", "peak_", "model_n_"))
           or name.endswith(("_share", "_size", "_ts", "_number", "gflops",
                             "gb_s"))]


class Bench(Case):
    def check_rows(self, rows):
        """Dictionaries of all columns, numbers as numbers."""
        self.assertEqual(len(rows), 6)
        for i, row in enumerate(rows):
            self.assertEqual(list(row)[:len(COLUMNS)], COLUMNS)
            self.assertEqual((row["n_prompt"], row["n_gen"]), TESTS[i % 3])
            self.assertEqual(row["n_seqs"], (1, 4)[i // 3])
            self.assertEqual((row["n_threads"], row["n_depth"]), (1, 8))
            self.assertEqual(row["model_type"], "llama 1.5M bf16")
            self.assertEqual((row["type_k"], row["type_v"]), ("bf16",) * 2)
            self.assertEqual(os.path.realpath(row["model_filename"]),
                             os.path.realpath(tool.MODEL))
            self.assertRegex(row["test_time"],
                             r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
            for name in ("avg_ns", "avg_ts", "median_ts", "flop_share",
                         "bytes_share", "peak_gflops", "peak_gb_s", "gflops",
                         "gb_s", "gemm_gflops", "gemm_share"):
                self.assertGreater(row[name], 0, name)
            for share, rate, whole in (
                    ("flop_share", "gflops", "peak_gflops"),
                    ("bytes_share", "gb_s", "peak_gb_s"),
                    ("gemm_share", "gflops", "gemm_gflops")):
                self.assertAlmostEqual(row[share] * row[whole] / row[rate], 1,
                                       2, share)

    def test_json(self):
        rows = json.loads(self.run_well(*ASK, "-o", "json").text)
        self.check_rows(rows)
        for row in rows:
            tokens = row["n_seqs"] * (row["n_prompt"] + row["n_gen"])
            self.assertEqual(len(row["samples_ns"]), 2)
            for ns, rate in zip(row["samples_ns"], row["samples_ts"]):
                self.assertAlmostEqual(rate * ns * 1e-9 / tokens, 1, 2)
            mean = sum(row["samples_ts"]) / 2
            self.assertAlmostEqual(row["avg_ts"] / mean, 1, 6)
            self.assertAlmostEqual(row["avg_ns"],
                                   sum(row["samples_ns"]) / 2, delta=2)

    def test_json_lines(self):
        text = self.run_well(*ASK, "-o", "jsonl").text
        self.check_rows([json.loads(line) for line in text.splitlines()])

    def test_csv(self):
        text = self.run_well(*ASK, "-o", "csv").text
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        for row in rows:
            self.assertNotIn(None, row)
            row.update({name: float(row[name]) for name in NUMBERS})
        self.check_rows(rows)

    def test_sql_fills_a_database_twice(self):
        text = self.run_well(*ASK, "-o", "sql").text
        db = sqlite3.connect(":memory:")
        db.row_factory = sqlite3.Row
        db.executescript(text)
        found = [dict(row) for row in db.execute("SELECT * FROM bench")]
        self.check_rows(found)
        db.executescript(text)
        self.assertEqual(
            db.execute("SELECT count(*) FROM bench").fetchone()[0], 12)

    def test_md_is_a_table_with_names_of_tests(self):
        done = self.run_well(*ASK)
        table = [line for line in done.text.splitlines()
                 if line.startswith("|")]
        self.assertEqual(len(table), 8)
        self.assertEqual({len(line) for line in table}, {len(table[0])})
        cells = [[cell.strip() for cell in line.strip("|").split("|")]
                 for line in table]
        self.assertEqual(cells[0][-4:], ["test", "t/s", "flop %", "read %"])
        self.assertEqual([row[-4] for row in cells[2:]],
                         ["pp16 @ d8", "tg4 @ d8", "pp8+tg2 @ d8"] * 2)
        for row in cells[2:]:
            self.assertRegex(row[-3], r"\A\d+\.\d\d ± \d+\.\d\d\Z")

    def test_options_of_a_place(self):
        text = self.run_well(
            "bench", "-p", "0", "-n", "2", "-t", "1-2", "-ub", "4", "-b", "2",
            "-ctk", "int8", "-ctv", "bf16", "--load", "copy", "-r", "1",
            "--no-warmup", "-o", "jsonl", "--delay", "0.1").text
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([row["n_threads"] for row in rows], [1, 2])
        for row in rows:
            self.assertEqual((row["n_ubatch"], row["type_k"], row["type_v"],
                              row["load"]), (4, "int8", "bf16", "copy"))
            self.assertEqual((len(row["samples_ns"]), row["stddev_ns"]),
                             (1, 0))

    def test_names_that_break_quotes(self):
        folder = tool.make_folder("quotes")
        name = os.path.join(folder, "it's \"a\", b.h5")
        shutil.copy(tool.MODEL, name)
        ask = ("bench", "-m", name, "-p", "1", "-n", "0", "-r", "1", "-o")
        db = sqlite3.connect(":memory:")
        db.executescript(self.run_well(*ask, "sql").text)
        self.assertEqual(
            db.execute("SELECT model_filename FROM bench").fetchall(),
            [(name,)])
        text = self.run_well(*ask, "csv").text
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        self.assertEqual([row["model_filename"] for row in rows], [name])

    def test_what_cannot_be_is_refused_before_it_starts(self):
        folder = tool.make_folder("refused")
        tool.write(folder, "text.h5", "not a model\n" * 99)
        faults = [
            (USAGE, ["-o", "xml"], ["-o xml", "jsonl"]),
            (USAGE, ["-b", "200"], ["-b 200", "-ub"]),
            (USAGE, ["-b", "65537"], ["-b 65537"]),
            (USAGE, ["-b", "0"], ["-b 0"]),
            (USAGE, ["-b", "4-1"], ["-b 4-1", "1,4,16"]),
            (USAGE, ["-p", "x"], ["-p x"]),
            (USAGE, ["-p", "257"], ["-d 0", "257", "256"]),
            (USAGE, ["-d", "0,250", "-p", "16"], ["-d 250", "128", "256"]),
            (USAGE, ["-pg", "128"], ["-pg 128", "512,128"]),
            (USAGE, ["-p", "0", "-n", "0"], ["-pg"]),
            (USAGE, ["-ctk", "f16"], ["-ctk f16", "bf16"]),
            (USAGE, ["-ctk", "f32", "-ctv", "bf16"], ["-ctk", "-ctv"]),
            (USAGE, ["-r", "0"], ["--repetitions"]),
            (USAGE, ["--load", "fast"], ["--load fast"]),
            (NO_INPUT, ["-m", "gone.h5"], ["gone.h5"]),
            (DATA, ["-m", "text.h5"], ["text.h5"]),
        ]
        results = tool.together(
            lambda fault: tool.run("bench", *(
                ["-p", "16"] if "-p" not in fault[1] else []), *fault[1],
                cwd=folder), faults)
        for (code, _, words), done in zip(faults, results):
            with self.subTest(done.command):
                self.check_error(done, code, words)
                self.assertEqual(done.text, "")

    def test_several_ranks_are_sent_to_run(self):
        self.check_error(tool.run("bench", np=2), USAGE, ["not 2", "run"])

    def test_an_interrupt_leaves_what_was_measured(self):
        run = tool.Run("bench", "-p", "8", "-n", "0", "-r", "1000", "-o",
                       "json")
        late = time.monotonic() + tool.LIMIT_SEC
        while (os.fstat(run.out.fileno()).st_size == 0 and
               time.monotonic() < late):
            time.sleep(0.02)
        run.signal_leader(signal.SIGINT)
        done = run.end(20)
        self.check_error(done, 130, ["interrupted"])
        self.assertEqual(json.loads(done.text), [])

    def test_a_reader_that_goes_ends_it(self):
        # To its end this would take more than a minute.
        done = tool.run("bench", "-p", "1-60", "-n", "0", "-r", "1", "-o",
                        "csv", "--delay", "1.5", shell="| head -n 2")
        self.check_gone(done)
        self.assertLess(done.sec, 30)
        self.assertEqual(len(done.text.splitlines()), 2)

    def test_readers_of_the_table_find_the_build(self):
        version = self.run_well("--version").text
        number = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
        text = self.run_well("bench", "-p", "1", "-n", "0", "-r", "1").text
        self.assertIn(number.group(0), text.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(tool.main())
