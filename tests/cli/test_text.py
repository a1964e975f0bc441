"""What a run writes: the same text on any number of ranks, in order, complete,
as text, as JSON and as files.
"""
import json
import os
import sys

import tool
from tool import Case

GOLDEN = os.path.join(tool.HERE, "golden_shakespeare.txt")
GREEDY = ["run", "-p", "ROMEO:\n", "-n", "100", "--temp", "0"]
LINES = ["ROMEO:", "JULIET:", "What say you, my lord?", "To be", "ROMEO:"]


def texts(done):
    """Prompt and text of every result of a --json run."""
    said = json.loads(done.text)
    return [(r["prompt"], r["text"], r["ids"])
            for r in said.get("results", [said])]


class Text(Case):
    def test_the_greedy_text_is_the_same_on_any_number_of_ranks(self):
        with open(GOLDEN, "rb") as f:
            golden = f.read()
        jobs = [([], {"np": np}) for np in range(6)]
        jobs += [(["--split", split], {"np": 3})
                 for split in ("1,7", "7,1", "8,0")]
        jobs += [([], {"env": env})
                 for env in ({"NDL_CPU": "ref"}, {"NDL_LOG": "debug"})]
        ended = tool.together(lambda job: self.run_well(
            *GREEDY, *job[0], **job[1]), jobs)
        for job, done in zip(jobs, ended):
            with self.subTest(job):
                self.assertEqual(done.out, golden)

    def test_json_says_all_and_the_same_on_any_number_of_ranks(self):
        one, four = (json.loads(self.run_well(
            "run", "-p", "ROMEO:", "-n", "30", "--json", "--plan",
            "estimate", np=np).out)
            for np in (0, 4))
        self.assertEqual(one["prompt"], "ROMEO:")
        self.assertEqual(len(one["ids"]), 30)
        self.assertEqual(one["finish"], "length")
        for key in ("text", "ids", "prompt_ids", "finish"):
            self.assertEqual(one[key], four[key], key)
        for said, n in ((one, 1), (four, 3)):
            self.assertEqual(said["plan"]["n_stages"], n)
            self.assertEqual(len(said["stages"]), n)
            layers = [s["n_layers"] for s in said["plan"]["stages"]]
            self.assertEqual(sum(layers), 8)
            times = said["timings"]
            self.assertEqual(times["prompt_tokens"], len(said["prompt_ids"]))
            self.assertEqual(times["decode_tokens"], 29)
            self.assertGreater(times["total_sec"], 0.0)
            self.assertLessEqual(times["ttft_max_sec"], times["total_sec"])
            for s in said["stages"]:
                self.assertEqual(s["rows"], times["prompt_tokens"] + 29)

    def test_text_and_json_hold_the_same(self):
        said = json.loads(self.run_well(*GREEDY, "--json").out)
        with open(GOLDEN, encoding="utf-8") as f:
            self.assertEqual("ROMEO:\n" + said["text"] + "\n", f.read())

    def test_the_prompt_can_be_left_out(self):
        full = self.run_well(*GREEDY).text
        only = self.run_well(*GREEDY, "--no-display-prompt", np=2).text
        self.assertEqual("ROMEO:\n" + only, full)

    def test_prompts_keep_their_order_and_do_not_touch_each_other(self):
        folder = tool.make_folder("text", "prompts")
        tool.write(folder, "lines.txt", "\n".join(LINES))
        args = ["-n", "40", "--json"]
        alone = tool.together(
            lambda line: texts(self.run_well("run", "-p", line, *args))[0],
            LINES[:4])
        alone.append(alone[0])
        jobs = ((0, []), (3, []), (3, ["--parallel", "2"]), (2, ["-b", "3"]))
        ended = tool.together(lambda job: self.run_well(
            "run", "--prompts", "lines.txt", *args, *job[1], np=job[0],
            cwd=folder), jobs)
        for job, done in zip(jobs, ended):
            with self.subTest(job):
                self.assertEqual(texts(done), alone)
        said = self.run_well("run", "--prompts", "lines.txt", "-n", "40",
                             np=3, cwd=folder)
        self.assertEqual(said.text,
                         "".join(f"{p}{text}\n" for p, text, _ in alone))

    def test_a_terminal_shows_how_far_many_prompts_are(self):
        path = tool.write(tool.make_folder("many"), "lines.txt",
                          "".join(f"Line {i}\n" for i in range(400)))
        code, said = tool.run_on_terminal("run", "--prompts", path, "-n",
                                          "100", "--json")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, rb"run: \d+ of 400 prompts, \d+ tokens")

    def test_a_file_is_one_prompt(self):
        folder = tool.make_folder("text", "file")
        tool.write(folder, "prompt.txt", "ROMEO:\nAlas\n")
        done = self.run_well("run", "-f", "prompt.txt", "-n", "3", cwd=folder)
        self.assertTrue(done.text.startswith("ROMEO:\nAlas\n"), done)

    def test_the_seed_decides(self):
        def said(*seed, np=0):
            return self.run_well("run", "-p", "ROMEO:", "-n", "40", *seed,
                                 np=np).text

        default, seven = said(), said("-s", "7")
        self.assertEqual(default, said("-s", "0", np=3))
        self.assertEqual(seven, said("--seed=7", np=2))
        self.assertNotEqual(default, seven)
        done = self.run_well("run", "-p", "ROMEO:", "-n", "40", "-s", "-1")
        seed = done.err.splitlines()[0].split()
        self.assertEqual(seed[0], "seed", done)
        self.assertEqual(said("-s", seed[1]), done.text)

    def test_files_hold_every_text_and_the_report(self):
        folder = tool.make_folder("text", "out")
        tool.write(folder, "lines.txt", "\n".join(LINES))
        done = self.run_well("run", "--prompts", "lines.txt", "-n", "9",
                             "--json", "--out", "texts", np=3, cwd=folder)
        names = [name for name, _ in tool.tree(os.path.join(folder, "texts"))]
        self.assertEqual(names, [f"{i:04}.txt" for i in range(1, 6)] +
                         ["metrics.h5", "run.json"])
        for i, (_, text, _) in enumerate(texts(done)):
            path = os.path.join(folder, "texts", names[i])
            with open(path, encoding="utf-8", newline="") as f:
                self.assertEqual(f.read(), text)
        with open(os.path.join(folder, "texts", "run.json"), "rb") as f:
            self.assertEqual(json.load(f), json.loads(done.text))

    def test_n_limits_the_text(self):
        for np in (0, 3):
            with self.subTest(np=np):
                done = self.run_well("run", "-p", "ROMEO:", "-n", "0", np=np)
                self.assertEqual(done.out, b"ROMEO:\n")
        said = json.loads(self.run_well("run", "-p", "ROMEO:", "-n", "0",
                                        "--json").out)
        self.assertEqual((said["ids"], said["finish"]), ([], "length"))
        said = json.loads(self.run_well("run", "-p", "ROMEO:", "-n", "-1",
                                        "-c", "20", "--ignore-eos",
                                        "--json").out)
        self.assertEqual(said["finish"], "context")
        # The last token is drawn, but takes no place in the context.
        self.assertEqual(len(said["prompt_ids"]) + len(said["ids"]), 21)

    def test_ids_are_a_prompt_too(self):
        ids = self.run_well("tokenize", "ROMEO:").text.strip()
        self.assertRegex(ids, r"\A\d+(,\d+)*\Z")
        args = ["-n", "20", "--json"]
        self.assertEqual(
            texts(self.run_well("run", "--prompt-ids", ids, *args, np=2)),
            texts(self.run_well("run", "-p", "ROMEO:", *args)))

    def test_without_anything_it_runs_the_bundled_model(self):
        one, four = self.run_well(), self.run_well(np=4)
        self.assertTrue(one.text.startswith("ROMEO:\n"), one)
        self.assertGreater(len(one.text), 100)
        self.assertEqual(one.out, four.out)
        self.assertIn("tokens/s", four.err)

    def test_more_ranks_than_layers_leave_some_idle(self):
        done = self.run_well("run", "-p", "x", "-n", "5", "--plan",
                             "estimate", np=12)
        self.assertRegex(done.err, r"\b2 ranks idle\b")
        done = self.run_well("run", "-p", "x", "-n", "5", "--json", "--split",
                             "8", np=3)
        self.assertIn("1 rank idle", done.err)
        self.assertEqual(json.loads(done.text)["plan"]["idle_ranks"], 1)


if __name__ == "__main__":
    sys.exit(tool.main())
