"""bench/compare_llama_cpp.py against stand-ins that answer with numbers known
before: what it asks of whom, what it makes of the answers, how it goes on."""
import os
import struct
import subprocess
import sys
import unittest

import bench_kit
import tool
from tool import Case

SCRIPT = os.path.join(bench_kit.BENCH, "compare_llama_cpp.py")

# Answers as llama-bench does, at RATE tokens/s where the flags hold BEST, at
# half of it elsewhere, and writes down how it was called.
STAND_IN = r"""#!/usr/bin/env -S python3 -IS
import json, os, sys
said = sys.argv[1:]
with open(LOG, "a") as f:
    f.write(NAME + " " + " ".join(said) + "\n")
if said[0] == "synth":
    open(said[said.index("-o") + 1], "w").close()
    sys.exit(0)
if said[0] == "--version":
    sys.exit(0)
if "-v" in said:
    sys.stderr.write(BANNER + "\n")
if FAULT in " ".join(said):
    sys.stderr.write("loading\nerror: cannot do that\nbye\n")
    sys.exit(1)
rate = RATE if BEST in " ".join(said) else RATE / 2
if "-npl" in said:
    print("| PP | TG |")
    print("| 1 | 4 | 4 | 20 | 0.1 | 29.4 | 0.3 | %.2f | 0.5 | 3.9 |" % rate)
    sys.exit(0)
rows = []
for flag, key in (("-p", "n_prompt"), ("-n", "n_gen")):
    n = int(said[said.index(flag) + 1])
    if n:
        rows.append(dict({"n_prompt": 0, "n_gen": 0, "avg_ts": rate,
                          "flop_share": 0.5, "bytes_share": 0.25}, **{key: n}))
print(json.dumps(rows))
"""


class Compare(Case):
    def setUp(self):
        self.folder = tool.make_folder("compare")
        # Nobody reads them, so they need not be made.
        for name in ("gpt2-124m-int8.h5", "gpt2-124m-q8_0.gguf"):
            open(os.path.join(self.folder, name), "w").close()
        self.log = os.path.join(self.folder, "calls")
        self.ours = self.stand_in("ours", "noodle", 30.0)
        self.llama = self.rival("llama", 20.0, best="-fa 1 -lm none")
        self.stand_in("llama", "llama-batched-bench", 20.0)
        self.ik = self.rival("ik", 40.0, best="-rtr 1 -fa 1")

    def stand_in(self, place, name, rate, best="", fault="\0",
                 banner="HAVE_FANCY_SIMD is defined"):
        return bench_kit.stand_in(
            os.path.join(self.folder, place, name), STAND_IN, LOG=self.log,
            NAME=place, RATE=rate, BEST=best, FAULT=fault, BANNER=banner)

    def rival(self, place, rate, **facts):
        return os.path.dirname(
            self.stand_in(place, "llama-bench", rate, **facts))

    def compare(self, *more, only="gpt2-124m/int8"):
        return subprocess.run(
            [sys.executable, "-B", SCRIPT, self.ours, "--llama-cpp",
             self.llama, "--ik", self.ik, "--quick", "--only", only,
             "--folder", self.folder, "--output",
             os.path.join(self.folder, "out.csv"), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def rows(self):
        return {(row["case"], row["rival"]): row for row in bench_kit.rows(
            os.path.join(self.folder, "out.csv"))}

    def calls(self, name, part):
        with open(self.log) as f:
            return [line for line in f
                    if line.startswith(name + " ") and part in line]

    def test_ratios_flags_and_shares(self):
        done = self.compare("--rounds", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = self.rows()
        case = "gpt2-124m/int8/t2/"
        self.assertEqual(sorted(rows), [
            (case + "pp32", "ik_llama.cpp"), (case + "pp32", "llama.cpp"),
            (case + "tg4x4", "llama.cpp"), (case + "tg8", "ik_llama.cpp"),
            (case + "tg8", "llama.cpp")])
        row = rows[case + "pp32", "llama.cpp"]
        self.assertEqual(row["rival_flags"], "-fa 1 -lm none")
        self.assertEqual((row["ratio"], row["rounds"]), ("1.500", "3"))
        self.assertEqual((row["ours_flop_percent"], row["ours_read_percent"]),
                         ("50.0", "25.0"))
        row = rows[case + "tg8", "ik_llama.cpp"]
        self.assertEqual(row["rival_flags"], "-rtr 1 -fa 1")
        self.assertEqual((row["ratio"], row["ratio_low"]), ("0.750",) * 2)
        self.assertEqual(
            bench_kit.remarks(os.path.join(self.folder, "out.csv"))[1:],
            ["tool: unknown", "rounds: 3, in turn, medians",
             "llama.cpp: unknown build", "ik_llama.cpp: unknown build"])
        # The weights that are in the folder are taken.
        self.assertEqual(self.calls("ours", "synth"), [])
        # One try of each set of flags, then the rounds.
        self.assertEqual(len(self.calls("llama", "-p 32")), 4 + 3)
        with open(os.path.join(self.folder, "out.md")) as f:
            table = f.read().splitlines()
        self.assertEqual(len(table), 2 + 3)
        self.assertEqual(len({line.count("|") for line in table}), 1)

    def test_sides_take_turns(self):
        self.compare("--rounds", "3")
        with open(self.log) as f:
            order = [line.split()[0] for line in f if "-p 32" in line]
        # In front of them one try of each of 4 and of 5 sets of flags.
        self.assertEqual(order[9:], ["ours", "llama", "ik",
                                     "llama", "ik", "ours",
                                     "ik", "ours", "llama"])

    def test_what_is_there_is_not_run_again(self):
        one = "gpt2-124m/int8/t2/tg8"
        self.assertEqual(self.compare(only=one).returncode, 0)
        n = len(self.calls("ours", "bench"))
        shown = self.rows()
        done = self.compare(only=one)
        self.assertEqual((done.returncode, self.rows()), (0, shown))
        self.assertEqual(len(self.calls("ours", "bench")), n)
        # Another rival's rows join those that are there.
        path = os.path.join(self.folder, "out.csv")
        with open(path) as f:
            kept = [line for line in f if ",ik_llama.cpp," not in line]
        with open(path, "w") as f:
            f.writelines(kept)
        done = self.compare(only=one)
        self.assertEqual(self.rows().keys(), shown.keys())

    def test_rival_that_fails_lacks_its_rows_only(self):
        self.ik = self.rival("ik", 40.0, fault="-p 32")
        done = self.compare()
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"error: cannot do that", done.stderr)
        self.assertEqual({rival for _, rival in self.rows()}, {"llama.cpp"})
        self.assertEqual(len(self.calls("ik", "-p 32")), 2)

    def test_our_failure_ends_it(self):
        self.ours = self.stand_in("ours", "noodle", 30.0, fault="bench")
        done = self.compare()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"error: cannot do that", done.stderr)
        self.assertEqual(self.rows(), {})
        self.compare()
        with open(os.path.join(self.folder, "out.csv")) as f:
            heads = [line for line in f if line.startswith("case,")]
        self.assertEqual(len(heads), 1)

    def test_rival_for_lesser_processors_is_refused(self):
        with open("/proc/cpuinfo") as f:
            if "avx512_vnni" not in f.read():
                self.skipTest("this processor has no AVX-512 VNNI")
        self.ik = self.rival("ik", 40.0,
                             banner="HAVE_FANCY_SIMD is NOT defined")
        done = self.compare()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"HAVE_FANCY_SIMD", done.stderr)
        self.assertEqual(self.compare("--anyway").returncode, 0)

    def test_half_a_row_is_found(self):
        self.compare()
        path = os.path.join(self.folder, "out.csv")
        with open(path, "r+") as f:
            f.truncate(len(f.read().rstrip()) - 40)
        done = self.compare()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"not whole", done.stderr)

    @unittest.skipIf(tool.numpy is None, "needs numpy")
    def test_random_weights_are_a_whole_gguf(self):
        path = os.path.join(self.folder, "random.gguf")
        maker = os.path.join(bench_kit.BENCH, "gguf_random.py")
        done = subprocess.run([sys.executable, "-B", maker, "gpt2-124m",
                               "q4_0+q8_0", path], timeout=60)
        self.assertEqual(done.returncode, 0)
        with open(path, "rb") as f:
            magic, version, n, _ = struct.unpack("<4sIQQ", f.read(24))
        os.remove(path)
        self.assertEqual((magic, version), (b"GGUF", 3))
        # Embedding, positions, 12 of each block, the last norm and the head.
        self.assertEqual(n, 2 + 12 * 12 + 2 + 1)


if __name__ == "__main__":
    sys.exit(tool.main())
