"""Many requests from a file, each with one answer in a journal: whatever a line
says, whoever is killed, and whenever it starts again.
"""
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import tool
from tool import Case

N_MANY = 240
N_KILLS = 20


def say(folder, name, lines):
    """A file of requests."""
    return tool.write(folder, name, "".join(
        (x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))


def read(path):
    """The answers by custom_id; every line is whole and has its own."""
    found = {}
    with open(path, "rb") as f:
        data = f.read()
    assert not data or data.endswith(b"\n"), "the last line is torn"
    for line in data.splitlines():
        one = json.loads(line)
        assert one["custom_id"] not in found, f"twice: {one['custom_id']}"
        found[one["custom_id"]] = one
    return found


def body(one):
    return one["response"]["body"]


def text(one):
    return body(one)["choices"][0]["text"]


def facts(answers):
    """What of the answers is a function of the requests."""
    kept = {}
    for name, one in answers.items():
        if one["response"]:
            one = json.loads(json.dumps(one))
            del body(one)["created"], body(one)["timings"]
        kept[name] = one
    return kept


def many(seed):
    chance = random.Random(seed)
    return [{"custom_id": f"r{i}", "prompt": chance.choice(
        ["ROMEO:\n", f"Line {i}", "My lord, " * chance.randint(1, 9)]),
        "max_tokens": chance.randint(0, 60), "seed": i,
        "temperature": chance.choice([0, 0.8, 1])} for i in range(N_MANY)]


class Requests(Case):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get("NDL_TEST_SEED", "1"))
        print(f"NDL_TEST_SEED={cls.seed}", flush=True)
        cls.folder = tool.make_folder("requests")
        cls.many = many(cls.seed)
        say(cls.folder, "many.jsonl", cls.many)
        done = tool.run("run", "--requests", "many.jsonl", "-o", "all.jsonl",
                        cwd=cls.folder)
        assert done.code == 0, done
        cls.all = facts(read(os.path.join(cls.folder, "all.jsonl")))

    def at(self, name):
        return os.path.join(self.folder, name)

    def forget(self, name):
        if os.path.exists(self.at(name)):
            os.remove(self.at(name))

    def ask(self, lines, *args, name="one", **how):
        """Run the lines; their answers."""
        say(self.folder, f"{name}.jsonl", lines)
        self.forget(f"{name}.out")
        done = self.run_well("run", "--requests", f"{name}.jsonl", "-o",
                             f"{name}.out", *args, cwd=self.folder, **how)
        self.assertEqual(done.out, b"")
        return read(self.at(f"{name}.out"))

    def args(self, out, *more):
        return ["run", "--requests", "many.jsonl", "-o", out, *more]

    def finish(self, out, *more, **how):
        """Another start, which ends; all answers are as without a break."""
        done = self.run_well(*self.args(out, *more), cwd=self.folder, **how)
        self.assertEqual(facts(read(self.at(out))), self.all)
        return done

    def test_every_form_of_a_line_is_the_same_request(self):
        ask = {"prompt": "ROMEO:", "max_tokens": 20}
        ids = [int(x) for x in
               self.run_well("tokenize", "ROMEO:").text.strip().split(",")]
        said = self.ask([
            json.dumps("ROMEO:"), "", {"custom_id": "plain", **ask},
            {"id": 7, **ask, "max_completion_tokens": 20},
            {"custom_id": "batch", "method": "POST", "url": "/v1/completions",
             "body": {"model": "any", "stream": True, "n": 1, "user": "me",
                      "stop": None, **ask}},
            {"custom_id": "ids", "prompt": ids, "max_tokens": 20},
            {"custom_id": "list", "prompt": ["ROMEO:"], "max_tokens": 20},
        ], "-n", "20")
        self.assertEqual(set(said), {"line-1", "plain", "7", "batch", "ids",
                                     "list"})
        alone = json.loads(self.run_well(
            "run", "-p", "ROMEO:", "-n", "20", "--json").text)
        for name, one in said.items():
            with self.subTest(name):
                self.assertTrue(one["id"].startswith("noodle-"))
                self.assertIsNone(one["error"])
                self.assertEqual(one["response"]["status_code"], 200)
                self.assertEqual(text(one), alone["text"])
                it = body(one)
                self.assertEqual(it["object"], "text_completion")
                self.assertEqual(it["model"], "shakespeare")
                self.assertLess(abs(it["created"] - time.time()), 600)
                choice = it["choices"][0]
                self.assertEqual((choice["index"], choice["finish_reason"],
                                  choice["logprobs"]), (0, "length", None))
                n = len(alone["prompt_ids"])
                self.assertEqual(it["usage"], {
                    "prompt_tokens": n, "completion_tokens": 20,
                    "total_tokens": n + 20})

    def test_the_text_is_that_of_the_prompt_alone(self):
        lines = [{"custom_id": "a", "prompt": "To be"},
                 {"custom_id": "b", "prompt": "To be", "seed": 7},
                 {"custom_id": "c", "prompt": "To be", "temperature": 0},
                 {"custom_id": "d", "prompt": "To be", "top_k": 3,
                  "top_p": 0.7, "min_p": 0.2, "temperature": 2},
                 {"custom_id": "e", "prompt": "To be", "max_tokens": 300,
                  "ignore_eos": True}]
        how = {"a": [], "b": ["-s", "7"], "c": ["--temp", "0"],
               "d": ["--top-k", "3", "--top-p", "0.7", "--min-p", "0.2",
                     "--temp", "2"],
               "e": ["-n", "300", "--ignore-eos"]}
        said = self.ask(lines, "-s", "3", "-n", "40", name="alone", np=3)

        def alone(name):
            return json.loads(self.run_well(
                "run", "-p", "To be", "-s", "3", "-n", "40", "--json",
                *how[name]).text)
        for name, one in zip(how, tool.together(alone, how)):
            with self.subTest(name):
                self.assertEqual(text(said[name]), one["text"])
                self.assertEqual(
                    body(said[name])["choices"][0]["finish_reason"],
                    "stop" if one["finish"] == "eos" else "length")
                self.assertEqual(
                    body(said[name])["usage"]["completion_tokens"],
                    len(one["ids"]))
        self.assertNotEqual(text(said["a"]), text(said["b"]))

    def test_bad_lines_have_their_error_and_disturb_nobody(self):
        good = [{"custom_id": f"good{i}", "prompt": "ROMEO:", "seed": i,
                 "max_tokens": 9} for i in range(4)]
        ok = {"prompt": "x"}
        bad = [
            ("nonsense", "not valid JSON"),
            ("[1, 2]", "give an object"),
            ('{"prompt": "\\ud800"}', "not valid JSON"),
            ('{"prompt": "x", "prompt": "y"}', "duplicate"),
            ('{"prompt": "x", "seed": 1e999}', "not valid JSON"),
            ({"max_tokens": 3}, "prompt: is missing"),
            ({"prompt": []}, "prompt"), ({"prompt": {}}, "prompt"),
            ({"prompt": ["a", "b"]}, "a list of 2 strings"),
            ({"prompt": [1, "b"]}, "element 2"),
            ({"prompt": [1, -1]}, "element 2"),
            ({"prompt": [1, 1024]}, "id 1024 is none"),
            ({"prompt": "long " * 999}, "the context holds 256"),
            ({**ok, "max_tokens": "3"}, "max_tokens"),
            ({**ok, "max_tokens": -2}, "max_tokens"),
            ({**ok, "temperature": -1}, "temperature"),
            ({**ok, "top_p": 1.5}, "top_p"), ({**ok, "seed": 0.5}, "seed"),
            ({**ok, "top_k": 1.5}, "top_k"), ({**ok, "n": 2}, "n: 2 answers"),
            ({**ok, "stop": 3}, "stop"), ({**ok, "stop": [""]}, "stop"),
            ({**ok, "stop": list("abcde")}, "at most 4"),
            ({**ok, "logprobs": 21}, "logprobs"),
            ({**ok, "logprobs": True}, "logprobs"),
            ({**ok, "ignore_eos": 1}, "ignore_eos"),
            ({**ok, "echo": True}, "echo"),
            ({**ok, "presence_penalty": 1}, "presence_penalty"),
            ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
            ({"url": "/v1/chat/completions", "body": {"messages": []}},
             "/v1/completions"),
            ({"url": "/v1/embeddings", "body": ok}, "url"),
            ({"url": "/v1/completions"}, "body: is missing"),
            ({"method": "GET", "body": ok}, "method"),
            ({"body": 3}, "body"), ({"custom_id": "", **ok}, "custom_id"),
        ]
        lines = good[:2] + [b for b, _ in bad] + good[2:]
        said = self.ask(lines, name="bad", np=3)
        self.assertEqual(len(said), len(lines))
        for i, (line, word) in enumerate(bad):
            with self.subTest(line):
                one = said[f"line-{i + 3}"]
                self.assertIsNone(one["response"])
                self.assertEqual(one["error"]["code"], "invalid_request_error")
                self.assertIn(f"line {i + 3}: ", one["error"]["message"])
                self.assertIn(word, one["error"]["message"])
        clean = facts(self.ask(good, name="good"))
        said = facts(said)
        for line in good:
            self.assertEqual(said[line["custom_id"]], clean[line["custom_id"]])

    def test_a_text_ends_before_its_first_stop_string(self):
        ask = {"prompt": "ROMEO:\n", "temperature": 0, "max_tokens": 120}
        full = text(self.ask([ask], name="full")["line-1"])
        self.assertGreater(len(full), 200)
        chance = random.Random(self.seed)
        lines, want = [], {}
        for i in range(60):
            at = chance.randrange(len(full) - 9)
            stops = [full[at:at + chance.randint(1, 9)] for at in
                     [at] * chance.randint(1, 2) +
                     [chance.randrange(len(full) - 9)] * chance.randint(0, 2)]
            lines.append({"custom_id": f"s{i}", **ask, "logprobs": 0,
                          "stop": stops if len(stops) > 1 else stops[0]})
            _, _, begin = min((full.find(s) + len(s), -len(s), full.find(s))
                              for s in stops)
            want[f"s{i}"] = full[:begin]
        lines.append({"custom_id": "none", **ask, "stop": "no such text"})
        want["none"] = full
        for name, one in self.ask(lines, name="stop", np=3).items():
            with self.subTest(name):
                self.assertEqual(text(one), want[name])
                choice = body(one)["choices"][0]
                self.assertEqual(choice["finish_reason"],
                                 "length" if name == "none" else "stop")
                if name == "none":
                    continue
                tokens = choice["logprobs"]["tokens"]
                self.assertTrue("".join(tokens).startswith(text(one)))
                n = body(one)["usage"]["completion_tokens"]
                self.assertGreaterEqual(n, len(tokens))
                self.assertLess(n, 120)

    def test_log_probabilities_are_those_of_the_tokens(self):
        ask = {"prompt": "ROMEO:\n", "max_tokens": 30}
        said = self.ask([{"custom_id": "greedy", "temperature": 0,
                          "logprobs": 4, **ask},
                         {"custom_id": "drawn", "temperature": 1, "top_k": 0,
                          "top_p": 1, "min_p": 0, "logprobs": 2, **ask},
                         {"custom_id": "none", **ask}], name="log_p", np=3)
        again = self.ask([{"custom_id": "greedy", "temperature": 0,
                           "logprobs": 4, **ask}], name="log_p_again")
        self.assertEqual(facts(again)["greedy"]["response"],
                         facts(said)["greedy"]["response"])
        self.assertIsNone(body(said["none"])["choices"][0]["logprobs"])
        for name, n_top in (("greedy", 4), ("drawn", 2)):
            got = body(said[name])["choices"][0]["logprobs"]
            offset = 0
            self.assertEqual("".join(got["tokens"]), text(said[name]))
            for i, token in enumerate(got["tokens"]):
                log_p, top = got["token_logprobs"][i], got["top_logprobs"][i]
                self.assertEqual(got["text_offset"][i], offset)
                offset += len(token)
                self.assertLessEqual(log_p, 0.0)
                self.assertEqual(top[token], log_p)
                self.assertIn(len(top), (n_top, n_top + 1))
                if name == "greedy":
                    self.assertEqual(log_p, max(top.values()))
        self.assertTrue(any(len(top) == 3 for top in body(
            said["drawn"])["choices"][0]["logprobs"]["top_logprobs"]))

    def test_a_second_start_has_nothing_to_do_and_needs_no_model(self):
        os.symlink(tool.MODEL, self.at("gone.h5"))
        args = ["run", "-m", "gone.h5", "--requests", "gone.jsonl", "-o",
                "gone.out"]
        self.ask(["ROMEO:", "bad"], "-m", "gone.h5", "-n", "3", name="gone")
        os.remove(self.at("gone.h5"))
        done = self.run_well(*args, "-n", "3", cwd=self.folder, np=2)
        self.assertIn("2 by earlier starts", done.err)
        self.assertNotIn("stage", done.err)

    def test_whoever_is_killed_the_next_start_goes_on(self):
        chance = random.Random(self.seed)
        self.forget("killed.out")
        n_killed = 0
        for i in range(N_KILLS):
            run = tool.Run(*self.args("killed.out", "-np", "4", "--plan",
                                      "estimate"), np=3, cwd=self.folder)
            before = self.size("killed.out")
            goal = before + chance.randint(1, 5000)
            until = time.monotonic() + 30
            while self.size("killed.out") < goal and \
                    run.process.poll() is None and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.02)
            if run.process.poll() is not None:
                # All work is done, and it is no crash.
                self.assertEqual(run.end().code, 0)
                break
            n_killed += 1
            run.kill()
            run.end()
            with open(self.at("killed.out"), "rb") as f:
                data = f.read()
            for line in data[:data.rfind(b"\n") + 1].splitlines():
                json.loads(line)
            self.assertGreater(len(data), before, f"kill {i}: nothing done")
        self.assertGreater(n_killed, N_KILLS // 2,
                           "the work was done before the kills")
        self.finish("killed.out", np=3)

    def size(self, name):
        try:
            return os.path.getsize(self.at(name))
        except OSError:
            return 0

    def test_a_torn_line_is_run_again(self):
        with open(self.at("all.jsonl"), "rb") as f:
            data = f.read()
        chance = random.Random(self.seed)
        for cut in (5, 17, chance.randrange(len(data)), len(data) - 1):
            with self.subTest(cut):
                tool.write(self.folder, "torn.out", data[:cut])
                self.finish("torn.out")

    def test_a_signal_ends_it_in_order_and_the_next_start_goes_on(self):
        for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143),
                          (signal.SIGUSR1, 75)):
            with self.subTest(sig):
                self.forget("signal.out")
                run = self.begin("signal.out")
                os.kill(run.ranks()[0], sig)
                done = run.end()
                self.check_gone(done)
                self.assertEqual(done.code, code, done)
                self.assertRegex(done.err, r"\d+ left for the next start")
                some = facts(read(self.at("signal.out")))
                self.assertLess(len(some), N_MANY)
                for name, one in some.items():
                    self.assertEqual(one, self.all[name])
                self.finish("signal.out")

    def test_requests_may_come_out_of_a_pipe(self):
        data = "".join(json.dumps(x) + "\n" for x in self.many).encode()
        for np in (0, 3):
            with self.subTest(np=np):
                self.forget("piped.out")
                run = tool.Run("run", "--requests", "/dev/stdin", "-o",
                               "piped.out", np=np, cwd=self.folder,
                               stdin=subprocess.PIPE)
                with run.process.stdin as pipe:
                    for at in range(0, len(data), 5000):
                        pipe.write(data[at:at + 5000])
                        pipe.flush()
                        time.sleep(0.01)
                done = run.end()
                self.check_gone(done)
                self.assertEqual(done.code, 0, done)
                self.assertEqual(facts(read(self.at("piped.out"))), self.all)

    def check_signal_at_pipe(self, sig, code, np, said):
        self.forget("ask.pipe")
        os.mkfifo(self.at("ask.pipe"))
        self.forget("piped.out")
        run = tool.Run("run", "--requests", "ask.pipe", "-o", "piped.out",
                       np=np, cwd=self.folder)
        pipe = self.open_pipe(self.at("ask.pipe"), run)
        os.write(pipe, said)
        time.sleep(0.2)
        begin = time.monotonic()
        os.kill(run.ranks()[0], sig)
        done = run.end()
        self.assertLess(time.monotonic() - begin, 10)
        os.close(pipe)
        self.check_error(done, code, ["ask.pipe", "still being read"])
        self.assertFalse(os.path.exists(self.at("piped.out")))

    def test_a_signal_is_heard_while_a_pipe_says_nothing(self):
        for np in (0, 3):
            for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143),
                              (signal.SIGUSR1, 75)):
                for said in (b"", b'"ROMEO:"\n{"prompt"'):
                    with self.subTest(np=np, sig=sig, said=said):
                        self.check_signal_at_pipe(sig, code, np, said)

    def begin(self, out, *more):
        """A run that has answered something and will need a while."""
        run = tool.Run(*self.args(out, "-np", "2", *more), cwd=self.folder)
        until = time.monotonic() + 30
        while self.size(out) == 0:
            self.assertLess(time.monotonic(), until, "nothing is written")
            self.assertIsNone(run.process.poll(), "it has ended by itself")
            time.sleep(0.001)
        return run

    def test_two_runs_may_not_write_to_one_file(self):
        self.forget("locked.out")
        run = self.begin("locked.out")
        run.signal_all(signal.SIGSTOP)
        second = tool.run(*self.args("locked.out"), cwd=self.folder)
        run.signal_all(signal.SIGCONT)
        self.check_error(second, 75, ["locked.out", "another run"])
        self.assertEqual(run.end().code, 0)
        self.finish("locked.out")

    def test_a_full_disk_ends_it_and_what_is_written_stays(self):
        self.forget("full.out")
        run = self.begin("full.out", "--metrics", "off")
        limit = self.size("full.out") + 3000
        resource.prlimit(run.ranks()[0], resource.RLIMIT_FSIZE,
                         (limit, limit))
        done = run.end()
        self.check_error(done, 74, ["full.out", "write"])
        some = facts(read(self.at("full.out")))
        self.assertLess(len(some), N_MANY)
        for name, one in some.items():
            self.assertEqual(one, self.all[name])
        self.finish("full.out")

    def test_results_of_other_requests_are_refused_and_stay(self):
        lines = [{"custom_id": x, "prompt": x, "max_tokens": 3} for x in "abc"]
        self.ask(lines, name="other")
        with open(self.at("other.out"), "rb") as f:
            data = f.read()
        changed = [dict(line) for line in lines]
        changed[1]["prompt"] = "another"
        cases = [
            (changed, [], data, ['"b"', "another request"]),
            (lines[1:], [], data, ['"a"', "no request"]),
            (lines, ["-s", "1"], data, ["another request"]),
            (lines, ["-n", "9"], data, ["another request"]),
            (lines, ["--temp", "0"], data, ["another request"]),
            (lines, [], data + data.splitlines(True)[0], ["twice"]),
            (lines, [], b"my notes\n", ["line 1", "not written"]),
            (lines, [], b"my notes", ["line 1", "not written"]),
            (lines, [], data + b"my notes\n", ["line 4", "not written"]),
            (lines, [], b'{"id":"noodle-1"}\n', ["line 1", "no result"]),
            (lines, [], b'{"id":"noodle-\n', ["line 1", "no result"]),
        ]
        for asked, args, there, words in cases:
            with self.subTest(words=words, args=args):
                say(self.folder, "changed.jsonl", asked)
                tool.write(self.folder, "changed.out", there)
                done = tool.run("run", "--requests", "changed.jsonl", "-o",
                                "changed.out", *args, cwd=self.folder)
                self.check_error(done, 65, ["changed.out", *words])
                with open(self.at("changed.out"), "rb") as f:
                    self.assertEqual(f.read(), there)
        os.symlink("other.jsonl", self.at("alias.jsonl"))
        for name in ("other.jsonl", "alias.jsonl"):
            done = tool.run("run", "--requests", "other.jsonl", "-o", name,
                            cwd=self.folder)
            self.check_error(done, 64, [name, "file of the requests"])

    def test_wrong_options_leave_no_file_behind(self):
        self.forget("wrong.out")
        for option, value in (
                ("--rank0", "both"), ("--emulate", "link=1-9,delay=1ms"),
                ("--emulate", "rank=7,speed=0.5"), ("--load", "slowly"),
                ("--plan", "gone.h5"), ("-ctk", "f3")):
            with self.subTest(option):
                done = tool.run("run", "--requests", "many.jsonl", "-o",
                                "wrong.out", option, value, cwd=self.folder)
                self.check_error(done, 66 if option == "--plan" else 64,
                                 [option, value])
                self.assertFalse(os.path.exists(self.at("wrong.out")))

    def test_two_lines_of_one_name_are_refused_before_anything_runs(self):
        say(self.folder, "twice.jsonl",
            [{"custom_id": "a", "prompt": "x"}, {"prompt": "y"},
             {"id": "a", "prompt": "z"}])
        done = tool.run("run", "--requests", "twice.jsonl", "-o", "twice.out",
                        cwd=self.folder)
        self.check_error(done, 65, ["twice.jsonl", "lines 1 and 3", '"a"'])
        self.assertFalse(os.path.exists(self.at("twice.out")))

    def test_files_without_work_are_well(self):
        self.assertEqual(self.ask([], name="empty"), {})
        done = self.run_well("run", "--requests", "empty.jsonl", "-o",
                             "empty.out", cwd=self.folder)
        self.assertIn("empty.jsonl has no request", done.err)
        self.assertEqual(self.ask(["", "  ", "\t"], name="blank", np=2), {})
        said = self.ask(["bad", '{"prompt": 3}'], name="all_bad", np=2)
        self.assertEqual(set(said), {"line-1", "line-2"})

    def test_windows_line_ends_change_nothing(self):
        tool.write(self.folder, "windows.jsonl", "".join(
            json.dumps(x) + "\r\n" for x in self.many))
        done = self.run_well("run", "--requests", "windows.jsonl", "-o",
                             "all.jsonl", cwd=self.folder)
        self.assertIn(f"{N_MANY} by earlier starts", done.err)

    def test_a_byte_order_mark_changes_nothing(self):
        tool.write(self.folder, "mark.jsonl", "\ufeff" + "".join(
            json.dumps(x) + "\n" for x in self.many))
        done = self.run_well("run", "--requests", "mark.jsonl", "-o",
                             "all.jsonl", cwd=self.folder)
        self.assertIn(f"{N_MANY} by earlier starts", done.err)

    def test_a_file_of_another_form_is_refused_as_a_whole(self):
        for data, word in (
                (json.dumps(self.many), "a list"),
                (json.dumps(self.many, indent=1), "a list"),
                (json.dumps(self.many[0], indent=1), "spread over lines"),
                ("\ufeff{}".encode("utf-16-le"), "UTF-16")):
            with self.subTest(word):
                tool.write(self.folder, "form.jsonl", data)
                done = tool.run("run", "--requests", "form.jsonl", "-o",
                                "form.out", cwd=self.folder)
                self.check_error(done, 65, ["form.jsonl", word])
                self.assertFalse(os.path.exists(self.at("form.out")))

    def test_wrong_usage_is_told(self):
        both = ["--requests", "many.jsonl", "-o", "x.out"]
        for args, words in (
                (["--requests", "many.jsonl"], ["-o"]),
                (["-o", "x.out"], ["--requests"]),
                ([*both, "-p", "x"], ["without -p"]),
                ([*both, "-f", "x"], ["without"]),
                ([*both, "--prompts", "x"], ["without"]),
                ([*both, "--prompt-ids", "1"], ["without"]),
                ([*both, "--json"], ["without"]),
                ([*both, "--out", "x"], ["without"]),
                ([*both, "-s", "-1"], ["-s -1"]),
                (["--requests", "-", "-o", "x.out"], ["/dev/stdin"]),
                (["--requests", "", "-o", "x.out"], ["--requests"]),
                (["--requests", "many.jsonl", "-o", "-"], ["-o -", "a file"]),
                (["--requests", "many.jsonl", "-o", ""], ["a file"])):
            with self.subTest(args):
                done = tool.run("run", *args, cwd=self.folder)
                self.check_error(done, 64, words)
        done = tool.run("run", "--requests", "none.jsonl", "-o", "x.out",
                        cwd=self.folder)
        self.check_error(done, 66, ["none.jsonl"])
        done = tool.run("run", "--requests", "many.jsonl", "-o", "no/x.out",
                        cwd=self.folder)
        self.check_error(done, 73, ["no/x.out"])
        self.assertFalse(os.path.exists(self.at("x.out")))

    def test_a_terminal_shows_how_far_it_is(self):
        # Several seconds of work, because the first line comes after one.
        say(self.folder, "shown.jsonl",
            [{"prompt": f"Line {i}", "max_tokens": 150, "ignore_eos": True}
             for i in range(N_MANY)])
        self.forget("shown.out")
        code, said = tool.run_on_terminal(
            "run", "--requests", "shown.jsonl", "-o", "shown.out", "-np", "4",
            cwd=self.folder)
        self.assertEqual(code, 0, said)
        self.assertRegex(said, rb"run: \d+ of 240 requests, \d+ running, \d+ "
                               rb"tokens/s \(\d+ prompt, \d+ new\), KV \d+ %")
        self.assertRegex(said, rb"requests  240, answered 240\r?\n")
        for word in (b"prompt ", b"new ", b"requests/s", b"TTFT", b"stage"):
            self.assertIn(word, said)


if __name__ == "__main__":
    sys.exit(tool.main())
