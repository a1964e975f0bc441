"""bench/requests.py: its arithmetic and its reading of answers, and all of it
against stand-ins that answer at a speed known before."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
import unittest

import bench_kit
import tool
from tool import Case

sys.path.insert(0, bench_kit.BENCH)

import request_sides  # noqa: E402
import request_table  # noqa: E402
import request_workload  # noqa: E402
import rivals  # noqa: E402

# Answers as what it is called does, at RATE tokens/s where the flags hold
# BEST, at half of it elsewhere, and writes down how it was called.
STAND_IN = r"""#!/usr/bin/env -S python3 -IS
import json, os, sys, time
said = sys.argv[1:]
program = os.path.basename(sys.argv[0])
with open(LOG, "a") as f:
    f.write(" ".join([PLACE, program, str(os.getpid())] + said) + "\n")
def after(flag):
    return said[said.index(flag) + 1]
def fail(*_):
    sys.stderr.write("loading\nerror: cannot do that\nbye\n")
    sys.exit(1)
if program == "mpirun":
    np = said.index("-np")
    os.execv(said[np + 2], said[np + 2:])
if FAULT in program + " " + " ".join(said):
    fail()
rate = RATE if BEST in " ".join(said) else RATE / 2
def run():
    with open(after("--requests")) as f:
        asked = [json.loads(line) for line in f]
    if os.path.exists(after("-o")):
        sys.exit("there already")
    n = sum(len(x["body"]["prompt"]) + x["body"]["max_tokens"] for x in asked)
    time.sleep(n / rate)
    with open(after("-o"), "w") as f:
        for i, x in enumerate(asked):
            f.write(json.dumps({"custom_id": x["custom_id"], "response": {
                "body": {"usage": {
                    "prompt_tokens": len(x["body"]["prompt"]),
                    "completion_tokens": x["body"]["max_tokens"]},
                "timings": {"ttft_ms": 2.0 + i,
                            "total_ms": 1e3 * n / rate - i}}}}) + "\n")
    sys.stderr.write("ready after 0.001 s\nprompt    9 tokens, 7 of them not "
                     "computed anew\n")
def batched():
    time.sleep(HANG_SEC)
    pp, tg = int(after("-npp")), int(after("-ntg"))
    for n in map(int, after("-npl").split(",")):
        print("| %d | %d | %d | 0 | %.6f | 1 | %.6f | 1 | 1 | 1 |" % (
            pp, tg, n, n * pp / rate, n * tg / rate))
def rpc():
    import socket
    s = socket.socket()
    s.bind((after("-H"), int(after("-p"))))
    s.listen()
    while True:
        s.accept()[0].close()
def http():
    import http.server, threading
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.say({})
        def do_POST(self):
            n = int(self.headers["Content-Length"])
            x = json.loads(self.rfile.read(n))
            if SHORT < 0:
                sys.stderr.write("error: it went away\n")
                sys.stderr.flush()
                os._exit(1)
            self.say({"tokens_evaluated": len(x["prompt"]),
                      "tokens_predicted": x["n_predict"] - SHORT})
        def say(self, what):
            data = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        def log_message(self, *_):
            pass
    http.server.ThreadingHTTPServer(
        (after("--host"), int(after("--port"))), Answer).serve_forever()
if program == "noodle" and said[0] == "run":
    run()
if program == "llama-batched-bench":
    batched()
if program == "ggml-rpc-server":
    rpc()
if program == "llama-server":
    http()
if "-v" in said:
    sys.stderr.write("HAVE_FANCY_SIMD is defined\n")
"""

# As the two programs print it, with what stands around it.
LLAMA_CPP_SAID = """
main: n_kv_max = 2048, n_batch = 2048, n_ubatch = 512, flash_attn = 1

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s \
|      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------\
|----------|----------|
|    32 |      8 |    4 |    160 |    2.000 |    64.00 |    4.000 |     8.00 \
|    6.000 |    26.67 |
|    32 |      8 |    8 |    320 |    5.000 |    51.20 |   10.000 |     6.40 \
|   15.000 |    21.33 |
|    32 |      8 |    4 |    160 |    4.000 |    32.00 |    2.000 |    16.00 \
|    6.000 |    26.67 |

llama_print_timings:        load time =    2578.13 ms
"""


def answer(name, prompt, new, total_ms=1000.0):
    return json.dumps({"custom_id": name, "response": {"body": {
        "usage": {"prompt_tokens": prompt, "completion_tokens": new},
        "timings": {"ttft_ms": 5.0, "total_ms": total_ms}}}}) + "\n"


class Arithmetic(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("arithmetic")
        cls.seed = int(os.environ.get("NDL_TEST_SEED", "1"))
        print(f"NDL_TEST_SEED={cls.seed}", flush=True)

    def fails(self, words, call, *args):
        with self.assertRaises(rivals.Failed) as caught:
            call(*args)
        self.assertIn(words, str(caught.exception))

    def test_a_seed_draws_the_same_requests_in_their_ranges(self):
        one, same, other = (request_workload.draw(
            "mixed", 300, (16, 40), (1, 9), seed)
            for seed in (self.seed, self.seed, self.seed + 1))
        self.assertEqual(one.requests, same.requests)
        self.assertNotEqual(one.requests, other.requests)
        self.assertNotEqual(one.name, other.name)
        lengths = {len(x.prompt) for x in one.requests}
        self.assertEqual((min(lengths), max(lengths)), (16, 40))
        self.assertEqual({x.new for x in one.requests}, set(range(1, 10)))
        self.assertEqual(one.tokens, sum(len(x.prompt) + x.new
                                         for x in one.requests))
        self.assertEqual(one.steps(), sum(x.new - 1 for x in one.requests))

    def test_a_common_beginning_is_in_all_prompts_and_in_their_lengths(self):
        drawn = request_workload.draw("reuse", 50, (4, 30), (1, 2), self.seed,
                                      common=20)
        self.assertEqual(len({tuple(x.prompt[:20])
                              for x in drawn.requests}), 1)
        self.assertEqual(len({tuple(x.prompt) for x in drawn.requests}), 50)
        lengths = [len(x.prompt) for x in drawn.requests]
        self.assertGreaterEqual(min(lengths), 21)
        self.assertLessEqual(max(lengths), 30)

    def test_rows_of_a_batched_bench_are_read(self):
        self.assertEqual(
            request_sides.read_rows(LLAMA_CPP_SAID, 32, 8, [4, 8, 4]),
            {4: [(2.0, 4.0), (4.0, 2.0)], 8: [(5.0, 10.0)]})

    def test_rows_that_were_not_asked_for_are_refused(self):
        read = request_sides.read_rows
        self.fails("|    32 |      8 |    4 |", read, LLAMA_CPP_SAID, 33, 8,
                   [4, 8, 4])
        self.fails("no rows", read, LLAMA_CPP_SAID, 32, 8, [4, 8])
        self.fails("no rows", read, LLAMA_CPP_SAID, 32, 8, [4, 8, 4, 16])
        self.fails("out of memory", read, "error: out of memory", 32, 8, [4])
        self.fails("not the row", read, LLAMA_CPP_SAID.replace(
            "10.000", " 0.000"), 32, 8, [4, 8, 4])

    def test_all_of_the_work_follows_from_whole_batches(self):
        work = request_workload.Workload("w", [
            request_workload.Request(f"r{i}", [7] * 30, 11)
            for i in range(100)])
        found = request_sides.extrapolated(
            work, 30, 10, [(3.0, 4.0), (5.0, 8.0)], "-fa 1 -npl 10")
        # 20 of 100 were run: 8 s of prompts and 12 s of steps.
        self.assertAlmostEqual(found.seconds, 5 * 8.0 + 5 * 12.0)
        self.assertAlmostEqual(found.measured, 0.2)
        # Other lengths than the mean's rounding count by their tokens.
        work.requests[0].prompt *= 2
        longer = request_workload.Workload("w", work.requests)
        found = request_sides.extrapolated(
            longer, 30, 10, [(3.0, 4.0), (5.0, 8.0)], "-fa 1 -npl 10")
        self.assertAlmostEqual(found.seconds, 101 * 8.0 / 20 + 5 * 12.0)

    def test_answers_must_be_all_that_was_asked_for(self):
        work = request_workload.Workload("w", [
            request_workload.Request("a", [7] * 3, 5),
            request_workload.Request("b", [7] * 4, 6)])
        path = os.path.join(self.folder, "answers")
        read = request_sides.read_answers

        def said(text):
            tool.write(self.folder, "answers", text)

        said(answer("b", 4, 6, 2000.0) + answer("a", 3, 5))
        self.assertEqual([x["total_ms"] for x in read(path, work)],
                         [2000.0, 1000.0])
        for text, words in (
                (answer("a", 3, 5), "b is one"),
                (answer("a", 3, 5) + answer("b", 4, 5), "b: 4 + 5 tokens"),
                (answer("a", 3, 5) * 2, "no answer"),
                (answer("a", 3, 5) + answer("c", 3, 5), "no answer"),
                (answer("a", 3, 5) + '{"custom_id": "b", "response": null}',
                 '"response": null'),
                (answer("a", 3, 5) + answer("b", 4, 6)[:40], "no answer")):
            said(text)
            self.fails(words, read, path, work)

    def test_seconds_of_answers_must_agree_with_the_clock(self):
        check = request_sides.check_seconds
        check(100.0, 110.0, "x\nready after 5.0 s, of which\n")
        for sec, wall in ((100.0, 150.0), (111.0, 110.0), (0.0, 3.0)):
            self.fails("timings end", check, sec, wall, "ready after 5.0 s")
        self.fails("ready after", check, 100.0, 110.0, "already")


def one_row(side, turn, rate, flags="f", others="0.0"):
    row = dict.fromkeys(request_table.RequestTable.columns, "")
    row.update(case="c", side=side, round=turn, tokens_sec=rate, flags=flags,
               seconds="1.0", measured_percent="10", others_percent=others)
    return row


class Table(Case):
    def setUp(self):
        self.path = os.path.join(tool.make_folder("table"), "t.csv")
        self.table = request_table.RequestTable(self.path, ["where: here"])

    def test_the_best_flags_count_and_tries_do_not(self):
        self.table.add(one_row("ik_llama.cpp", 0, 900))
        self.assertIsNone(self.table.standing("c", "ik_llama.cpp"))
        for turn, (a, b) in enumerate(((10, 20), (90, 30), (30, 40)), 1):
            self.table.add(one_row("ik_llama.cpp", turn, a, "few"),
                           one_row("ik_llama.cpp", turn, b, "many"))
        standing = self.table.standing("c", "ik_llama.cpp")
        self.assertEqual((standing.rate(), standing.flags), (30, "few"))
        self.table.add(one_row("ik_llama.cpp", 4, 30, "many"),
                       one_row("ik_llama.cpp", 5, 50, "many"))
        standing = self.table.standing("c", "ik_llama.cpp")
        self.assertEqual((standing.rate(), standing.flags), (30, "few"))
        self.table.add(one_row("ik_llama.cpp", 6, 60, "many"))
        self.assertEqual(self.table.standing("c", "ik_llama.cpp").rate(), 35)

    def test_gates_compare_medians_and_name_the_lowest_round(self):
        for turn, ours, theirs in ((1, 100, 40), (2, 130, 50), (3, 90, 45)):
            self.table.add(one_row("noodle-mpi", turn, ours))
            self.table.add(one_row("llama.cpp", turn, theirs))
            self.table.add(one_row("ik_llama.cpp", turn, 2 * theirs))
        self.assertEqual(self.table.verdicts("c"), [
            "c: MISSED: at least 2.5 x llama.cpp: 2.22 (2.00 to 2.60)",
            "c: MISSED: at least 1.3 x ik_llama.cpp: 1.11 (1.00 to 1.30)"])
        self.table.add(one_row("llama.cpp-rpc", 1, 25))
        self.assertIn("c: met: at least 4.0 x llama.cpp-rpc: 4.00 "
                      "(4.00 to 4.00)", self.table.verdicts("c"))

    def test_the_faster_way_of_llama_cpp_counts(self):
        self.table.add(one_row("noodle-mpi", 1, 100),
                       one_row("llama.cpp", 1, 20),
                       one_row("llama-server", 1, 50))
        self.assertEqual(self.table.verdicts("c"), [
            "c: MISSED: at least 2.5 x llama-server: 2.00 (2.00 to 2.00)"])
        self.table.add(one_row("llama.cpp", 1, 100, "better"))
        self.assertEqual(self.table.verdicts("c"), [
            "c: MISSED: at least 2.5 x llama.cpp: 1.00 (1.00 to 1.00)"])

    def test_a_busy_machine_is_told(self):
        self.table.add(one_row("noodle-mpi", 1, 100),
                       one_row("llama.cpp", 1, 20, others="31.0"))
        self.assertIn("but others took 31 %", self.table.verdicts("c")[0])

    def test_rows_are_there_again_and_half_a_row_is_found(self):
        self.table.add(one_row("noodle-mpi", 1, 100))
        again = request_table.RequestTable(self.path, [])
        self.assertTrue(again.has("c", "noodle-mpi", 1))
        self.assertFalse(again.has("c", "noodle-mpi", 2))
        self.assertEqual(again.rows, [
            {k: str(v) for k, v in one_row("noodle-mpi", 1, 100).items()}])
        with open(self.path, "r+") as f:
            f.truncate(len(f.read()) - 4)
        with self.assertRaises(SystemExit):
            request_table.RequestTable(self.path, [])


class Script(Case):
    def setUp(self):
        self.folder = tool.make_folder("script")
        for name in ("tinyllama-1.1b-int8.h5", "tinyllama-1.1b-q8_0.gguf",
                     "tinyllama-1.1b-q8_0-vocabulary.gguf"):
            open(os.path.join(self.folder, name), "w").close()
        self.log = os.path.join(self.folder, "calls")
        self.stand_in("path", "mpirun")
        self.stand_in("ours", "noodle", 3000.0)
        for name in ("llama-bench", "llama-batched-bench", "ggml-rpc-server",
                     "llama-server"):
            self.stand_in("llama", name, 1000.0, best="-fa on -lm none")
        for name in ("llama-bench", "llama-batched-bench"):
            self.stand_in("ik", name, 2500.0, best="-rtr -fa on")

    def stand_in(self, place, name, rate=1.0, best="", fault="\0", short=0,
                 hang_sec=0):
        bench_kit.stand_in(
            os.path.join(self.folder, place, name), STAND_IN, LOG=self.log,
            PLACE=place, RATE=rate, BEST=best, FAULT=fault, SHORT=short,
            HANG_SEC=hang_sec)

    def command(self, *more):
        at = {name: os.path.join(self.folder, name)
              for name in ("ours", "llama", "ik", "path")}
        env = dict(os.environ, PATH=at["path"] + ":" + os.environ["PATH"])
        return dict(args=[
            sys.executable, "-B", os.path.join(bench_kit.BENCH, "requests.py"),
            os.path.join(at["ours"], "noodle"), "--llama-cpp", at["llama"],
            "--ik", at["ik"], "--quick", "--folder", self.folder, "--output",
            os.path.join(self.folder, "out.csv"), *more],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def bench(self, *more):
        done = subprocess.run(**self.command(*more), timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def rows(self):
        return bench_kit.rows(os.path.join(self.folder, "out.csv"))

    def calls(self, *parts):
        with open(self.log) as f:
            return [line for line in f
                    if all(part in line.split() for part in parts)]

    def wait_for_call(self, *parts):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if os.path.exists(self.log) and self.calls(*parts):
                return self.calls(*parts)
            time.sleep(0.01)
        self.fail(f"nobody called {parts}")

    def check_ended(self, program):
        for line in self.calls(program):
            self.assertFalse(os.path.exists(f"/proc/{line.split()[2]}"), line)

    def test_sides_are_called_and_measured_as_they_must_be(self):
        done = self.bench()
        rows = {row["side"]: row for row in self.rows() if row["round"] == "1"}
        self.assertEqual(list(rows), [
            "noodle-mpi", "noodle-mpi-shared", "llama.cpp", "ik_llama.cpp",
            "llama.cpp-rpc"])
        self.assertEqual(float(rows["noodle-mpi"]["tokens_sec"]), 3000.0)
        self.assertEqual(rows["noodle-mpi"]["reused_tokens"], "7")
        self.assertEqual(rows["noodle-mpi"]["ttft_median_sec"], "0.007")
        self.assertEqual(rows["noodle-mpi"]["ttft_95_sec"], "0.013")
        self.assertEqual(
            bench_kit.remarks(os.path.join(self.folder, "out.csv"))[1:],
            ["tool: unknown", "cores: 2 of them for each in turn",
             "llama.cpp: unknown build", "ik_llama.cpp: unknown build"])
        # A batch has no step for the first token of an answer.
        row = rows["llama.cpp"]
        tokens = int(row["prompt_tokens"]) + int(row["new_tokens"])
        self.assertAlmostEqual(float(row["tokens_sec"]), 1000.0 * tokens /
                               (tokens - int(row["requests"])), places=1)
        self.assertEqual(row["flags"], "-fa 1 -lm none -npl 4")
        self.assertEqual(rows["ik_llama.cpp"]["flags"],
                         "-rtr 1 -fa 1 -npl 4")
        self.assertIn(b"MISSED: at least 1.3 x ik_llama.cpp: 1.",
                      done.stdout)
        self.assertIn(b"met: at least 2.5 x llama.cpp: 2.", done.stdout)
        self.assertEqual([line.split("-np ")[1].split()[0]
                          for line in self.calls("mpirun")], ["3", "2"])
        self.assertEqual(len(self.calls("--rank0", "shared", "noodle")), 1)
        with open(os.path.join(self.folder, "out.md")) as f:
            table = f.read().splitlines()
        self.assertEqual(len(table), 2 + 5)
        self.assertEqual(len({line.count("|") for line in table}), 1)

    def test_rpc_servers_are_reached_and_ended(self):
        self.bench("--only", "llama.cpp-rpc")
        # Two tries and a round, each with two servers of one thread.
        servers = self.calls("ggml-rpc-server")
        self.assertEqual(len(servers), 3 * 2)
        for i, line in enumerate(self.calls("llama-batched-bench")):
            ports = {part.split("-p ")[1].strip()
                     for part in servers[2 * i:2 * i + 2]}
            hosts = line.split("--rpc ")[1].strip().split(",")
            self.assertEqual({f"127.0.0.1:{p}" for p in ports}, set(hosts))
            self.assertIn(" -t 1 -tb 1 ", line)
        self.check_ended("ggml-rpc-server")

    def test_sides_take_turns(self):
        self.bench("--rounds", "3", "--only",
                   "noodle-mpi,llama.cpp,ik_llama.cpp")
        turns = [row["side"] for row in self.rows() if row["round"] != "0"]
        a, b, c = "noodle-mpi", "llama.cpp", "ik_llama.cpp"
        self.assertEqual(turns, [a, b, c, b, c, a, c, a, b])

    def test_what_is_there_is_not_run_again(self):
        self.bench("--only", "llama.cpp,noodle-mpi")
        n = len(self.calls("llama-batched-bench"))
        self.assertEqual(n, 4 + 1)
        shown = self.rows()
        self.bench("--only", "llama.cpp,noodle-mpi")
        self.assertEqual(self.rows(), shown)
        self.bench("--only", "llama.cpp,noodle-mpi", "--rounds", "2")
        self.assertEqual(len(self.calls("llama-batched-bench")), n + 1)
        self.assertEqual(self.rows()[:len(shown)], shown)
        # Other requests are another case.
        self.bench("--only", "noodle-mpi", "--seed", "2")
        self.assertEqual(len({row["case"] for row in self.rows()}), 2)

    def test_a_killed_benchmark_goes_on_and_its_servers_are_gone(self):
        # Killed at a known place: the servers are up, nothing is measured.
        self.stand_in("llama", "llama-batched-bench", hang_sec=60)
        started = subprocess.Popen(**self.command(
            "--only", "noodle-mpi,llama.cpp-rpc"))
        with started:
            self.wait_for_call("llama-batched-bench")
            started.send_signal(signal.SIGTERM)
            started.communicate(timeout=30)
        self.assertNotEqual(started.returncode, 0)
        self.assertEqual(len(self.calls("ggml-rpc-server")), 2)
        self.check_ended("ggml-rpc-server")
        self.check_ended("llama-batched-bench")
        self.stand_in("llama", "llama-batched-bench", 1000.0)
        before = self.rows()
        self.assertEqual([row["side"] for row in before], ["noodle-mpi"])
        self.bench("--only", "noodle-mpi,llama.cpp-rpc")
        self.assertEqual(self.rows()[0], before[0])
        self.assertEqual(len(self.calls("mpirun")), 1)
        self.assertEqual([row["side"] for row in self.rows()
                          if row["round"] == "1"],
                         ["noodle-mpi", "llama.cpp-rpc"])

    def test_a_rival_that_fails_lacks_its_rows_only(self):
        self.stand_in("ik", "llama-batched-bench", 1.0, fault="-npp")
        done = self.bench()
        self.assertIn(b"without ik_llama.cpp", done.stderr)
        self.assertIn(b"error: cannot do that", done.stderr)
        self.assertNotIn("ik_llama.cpp", {row["side"] for row in self.rows()})
        self.assertIn("llama.cpp", {row["side"] for row in self.rows()})

    def test_servers_that_end_at_once_say_why(self):
        self.stand_in("llama", "ggml-rpc-server", fault="-H")
        done = self.bench("--only", "llama.cpp-rpc")
        self.assertIn(b"without llama.cpp-rpc", done.stderr)
        self.assertIn(b"error: cannot do that", done.stderr)

    def test_our_failure_ends_it(self):
        self.stand_in("ours", "noodle", 1.0, fault="--requests")
        done = subprocess.run(**self.command(), timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"error: cannot do that", done.stderr)
        self.assertEqual(self.rows(), [])

    def test_the_reuse_workload_is_ours_alone(self):
        done = self.bench("--reuse", "--only",
                          "noodle-mpi,noodle-mpi-no-reuse,llama.cpp")
        sides = [row["side"] for row in self.rows() if "/reuse/" in
                 row["case"]]
        self.assertEqual(sides, ["noodle-mpi", "noodle-mpi-no-reuse"])
        self.assertEqual(len(self.calls("--no-prefix-reuse", "noodle")), 1)
        self.assertIn(b"reuse of beginnings makes it 1.00", done.stdout)

    def test_a_server_gets_the_very_requests(self):
        server = os.path.join(self.folder, "llama", "llama-server")
        self.bench("--only", "llama-server", "--llama-server", server)
        # Two sets of flags are tried before the round.
        calls = self.calls("llama-server")
        self.assertEqual(len(calls), 2 + 1)
        for part in (" -np 4 ", " -c 1024 ", "-vocabulary.gguf "):
            self.assertIn(part, calls[0])
        self.assertEqual([row["measured_percent"] for row in self.rows()
                          if row["round"] == "1"], ["100.00"])
        self.check_ended("llama-server")

    def test_a_server_that_answers_less_is_refused(self):
        self.stand_in("llama", "llama-server", short=1)
        server = os.path.join(self.folder, "llama", "llama-server")
        done = self.bench("--only", "llama-server", "--llama-server", server)
        self.assertIn(b"without llama-server: llama-server: r", done.stderr)
        self.assertEqual(self.rows(), [])

    def test_a_server_that_dies_is_told(self):
        self.stand_in("llama", "llama-server", short=-1)
        server = os.path.join(self.folder, "llama", "llama-server")
        done = self.bench("--only", "llama-server", "--llama-server", server)
        self.assertIn(b"without llama-server: llama-server: r", done.stderr)
        self.assertIn(b"went away", done.stderr)

    @unittest.skipIf(tool.numpy is None, "needs numpy")
    def test_a_vocabulary_has_a_token_for_each_id(self):
        import gguf_random
        n = random.Random(1).randrange(300, 400)
        known = gguf_random.vocabulary(n)
        for key in ("tokens", "scores", "token_type"):
            self.assertEqual(len(known[f"tokenizer.ggml.{key}"]), n)
        self.assertEqual(len(set(known["tokenizer.ggml.tokens"])), n)
        raw = gguf_random.pair("k", ["a", "bc"])
        self.assertEqual(raw, struct.pack(
            "<Q1sIIQQ1sQ2s", 1, b"k", 9, 8, 2, 1, b"a", 2, b"bc"))


if __name__ == "__main__":
    sys.exit(tool.main())
