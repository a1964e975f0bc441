"""plan: which nodes would host which layers, without running anything."""
import json
import os
import unittest

import tool
from tool import Case

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = os.path.join(tool.HERE, "..", "..", "share", "plan.schema.json")
NODES = """\
link: {latency: 2us, bandwidth: 12 GB/s}
nodes:
  - {name: big, count: 4, memory: 512 GiB, threads: 64,
     compute: 4 TFLOP/s, bandwidth: 400 GB/s}
  - {name: old, count: 8, memory: 128 GiB,
     compute: 500 GFLOP/s, bandwidth: 50 GB/s}
links:
  - {from: big, to: old, latency: 5us, bandwidth: 3 GB/s}
"""
STRATEGIES = ("throughput", "latency", "balanced", "bottleneck-first",
              "memory-aware")


class Plan(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("plan")
        tool.write(cls.folder, "nodes.yaml", NODES)

    def plan(self, *args, **how):
        return self.run_well("plan", "--nodes", "nodes.yaml", *args,
                             cwd=self.folder, **how)

    def plan_json(self, *args):
        done = self.plan("--json", *args)
        return json.loads(done.text)

    def refuse(self, code, words, *args):
        done = tool.run("plan", *args, cwd=self.folder)
        self.assertEqual(done.out, b"", done)
        self.check_error(done, code, words)

    def test_says_how_many_nodes_a_large_model_needs(self):
        text = self.plan("--shape", "llama-3.1-70b").text
        for word in ("70.55 G parameters", "12 nodes (nodes.yaml)",
                     "rank 0: tokens in", "embed, 0", "79 + head",
                     "stage  rank  host", "strategy    throughput",
                     "throughput", "latency", "balance", "note: "):
            self.assertIn(word, text)
        for line in text.splitlines():
            self.assertLessEqual(len(line), 200, line)
            self.assertEqual(line, line.rstrip(), "trailing blanks")

    def test_too_large_a_model_says_what_is_needed(self):
        tool.write(self.folder, "small.json", json.dumps({"nodes": [
            {"name": "tiny", "count": 3, "memory": "4 GiB", "compute": 1e12,
             "bandwidth": 1e11}]}))
        self.refuse(69, ["GiB"], "--shape", "llama-3.1-70b", "--nodes",
                    "small.json")

    def test_every_strategy_gives_a_whole_plan(self):
        for name in STRATEGIES:
            p = self.plan_json("--shape", "llama-3.2-1b", "--strategy", name)
            self.assertEqual(p["strategy"], name)
            self.assertEqual(p["source"], "estimated")
            self.assertEqual(p["n_stages"], len(p["stages"]))
            self.assertEqual(p["n_stages"] + p["idle_ranks"], 12)
            self.assertEqual(sum(s["n_layers"] for s in p["stages"]), 16)
            self.assertGreater(p["tokens_per_sec"], 0)
            self.assertGreater(p["latency_sec"], 0)
            for s in p["stages"]:
                self.assertEqual(s["rank"], -1)
                self.assertIn(s["host"], ("big", "old"))
                need = s["weight_bytes"] + s["kv_bytes"] + s["buffer_bytes"]
                self.assertLessEqual(need, s["free_bytes"])

    def test_the_slowest_stage_is_never_slower_than_with_another_strategy(self):
        plans = tool.together(lambda name: self.plan_json(
            "--shape", "llama-3.2-1b", "--strategy", name), STRATEGIES)
        periods = {p["strategy"]: p["period_sec"] for p in plans}
        self.assertEqual(len(periods), len(STRATEGIES))
        for name, period in periods.items():
            self.assertLessEqual(periods["throughput"], period * (1 + 1e-9),
                                 name)

    def test_options_shape_the_plan(self):
        p = self.plan_json("--shape", "llama-3.2-1b", "--pin",
                           "head=old,embed=big", "--pin", "3=big",
                           "--min-stages", "3", "--max-stages", "5")
        self.assertEqual(p["stages"][0]["host"], "big")
        self.assertEqual(p["stages"][-1]["host"], "old")
        self.assertTrue(3 <= p["n_stages"] <= 5, p["n_stages"])
        fixed = self.plan_json("--shape", "llama-3.2-1b", "--order", "fixed",
                               "--min-stages", "6")
        hosts = [s["host"] for s in fixed["stages"]]
        self.assertEqual(hosts, sorted(hosts), "big before old")
        work = self.plan_json("-c", "200", "-np", "3", "-b", "32",
                              "--prompt-tokens", "100", "--new-tokens", "50")
        self.assertEqual(work["workload"], {
            "prompt_tokens": 100, "new_tokens": 50, "sequences": 3,
            "chunk_rows": 32})

    def test_dtype_doubles_the_weights(self):
        sizes = [sum(s["weight_bytes"] for s in self.plan_json(
            "--shape", "llama-3.2-1b", "--max-stages", "1", "--dtype",
            t)["stages"]) for t in ("bf16", "f32")]
        self.assertAlmostEqual(sizes[1] / sizes[0], 2.0, 1)

    def test_a_smaller_dtype_that_would_fit_is_named(self):
        """70.55 G parameters take 282, 141, 75 and 45 GB."""
        args = ("--shape", "llama-3.1-70b", "-c", "512", "-np", "1",
                "--nodes", "one.json")
        for given, memory, named in (
                ("f32", 160, "bf16"), ("f32", 100, "int8"),
                ("bf16", 100, "int8"), ("bf16", 60, "int4"),
                ("int8:32", 60, "int4"), ("int8", 30, None),
                ("int4", 30, None)):
            tool.write(self.folder, "one.json", json.dumps({"nodes": [
                {"name": "n", "memory": f"{memory} GB",
                 "compute": "1 TFLOP/s", "bandwidth": "100 GB/s"}]}))
            words = [f"weights in {named} would fit" if named else "fit"]
            done = tool.run("plan", *args, "--dtype", given, cwd=self.folder)
            self.check_error(done, 69, words)
            if not named:
                self.assertNotIn("would fit", done.err)

    def test_note_tells_what_the_next_smaller_dtype_brings(self):
        for given, named in (("f32", "bf16"), ("bf16", "int8"),
                             ("int8", "int4"), ("int4", None)):
            text = self.plan("--dtype", given).text
            if named:
                self.assertIn(f"note: weights in {named}", text)
            else:
                self.assertNotIn("weights in", text)

    def test_a_config_json_is_a_shape(self):
        config = os.path.join(tool.HERE, "..", "..", "models", "shakespeare",
                              "config.json")
        by_config = self.plan_json("--shape", config, "--dtype", "bf16")
        by_weights = self.plan_json()
        self.assertEqual(by_config, by_weights)

    def test_a_written_plan_is_read_back(self):
        text = self.plan("-o", "plan.json", "-np", "4").text
        with open(os.path.join(self.folder, "plan.json"),
                  encoding="utf-8") as f:
            plan = json.load(f)
        again = self.run_well("plan", "--read", "plan.json", "--json",
                              cwd=self.folder).text
        self.assertEqual(json.loads(again), plan)
        shown = self.run_well("plan", "--read", "plan.json",
                              cwd=self.folder).text
        self.assertTrue(text.endswith(shown), "the page without its head")
        self.assertEqual(json.loads(again), self.plan_json("-np", "4"))

    @unittest.skipUnless(jsonschema, "no jsonschema")
    def test_written_plans_keep_to_the_schema(self):
        with open(SCHEMA, encoding="utf-8") as f:
            schema = json.load(f)
        jsonschema.Draft7Validator.check_schema(schema)
        judge = jsonschema.Draft7Validator(schema)
        for name in STRATEGIES:
            judge.validate(self.plan_json("--strategy", name))
        plan = self.plan_json("--shape", "llama-3.2-1b")
        judge.validate(plan)
        # The schema names the fields that the program writes, and no others.
        self.assertEqual(set(plan), set(schema["properties"]))
        self.assertEqual(set(plan), set(schema["required"]))
        stage = schema["definitions"]["stage"]
        self.assertEqual(set(plan["stages"][0]), set(stage["properties"]))
        self.assertEqual(set(plan["stages"][0]), set(stage["required"]))
        for name, wrong in (("gap", -1), ("balance", 2), ("format", "x"),
                            ("stages", []), ("colour", 1)):
            self.assertFalse(judge.is_valid({**plan, name: wrong}), name)

    def test_what_is_missing_or_wrong_is_named(self):
        self.refuse(64, ["--nodes FILE", "nodes: [{name: big", "--profile"],
                    "--shape", "llama-3.2-1b")
        cases = (
            (["--shape nope", "llama-3.2-1b"], ["--shape", "nope"]),
            (["--strategy fast", "throughput"], ["--strategy", "fast"]),
            (["--order best", "fixed or free"], ["--order", "best"]),
            (["--dtype f8"], ["--dtype", "f8"]),
            (["--stage-limit 20 feet"], ["--stage-limit", "20 feet"]),
            (["--stage-limit 0"], ["--stage-limit", "0"]),
            (["--pin head"], ["--pin", "head"]),
            (["--pin tail=big"], ["--pin", "tail=big"]),
            (["--pin 8=big", "0 to 7"], ["--pin", "8=big"]),
            (["--pin head=x"], ["--pin", "head=x"]),
            (["--pin : not a layer and a node"],
             ["--pin", "head=big,"]),
            (["two models"], ["--shape", "gpt2-124m", "-m", "x.h5"]),
            (["-c 257", "256"], ["-c", "257"]),
            (["256 positions"], ["--prompt-tokens", "257"]),
            (["256 positions"], ["--prompt-tokens", "200", "--new-tokens",
                                 "100"]),
            (["--min-stages 3"], ["--min-stages", "3", "--max-stages",
                                  "2"]))
        runs = tool.together(
            lambda case: tool.run("plan", "--nodes", "nodes.yaml", *case[1],
                                  cwd=self.folder), cases)
        for done, (words, _) in zip(runs, cases):
            self.assertEqual(done.out, b"", done)
            self.check_error(done, 64, words)

    def test_files_that_are_wrong_are_named(self):
        self.refuse(66, ["none.yaml"], "--nodes", "none.yaml")
        self.refuse(66, ["none.h5"], "--profile", "none.h5")
        self.refuse(66, ["none.json"], "--read", "none.json")
        self.refuse(66, ["none/config.json"], "--nodes", "nodes.yaml",
                    "--shape", "none/config.json")
        self.refuse(73, ["none/plan.json"], "--nodes", "nodes.yaml", "-o",
                    "none/plan.json")
        self.refuse(65, ["nodes.yaml", "line 1"], "--read", "nodes.yaml")
        self.refuse(65, [tool.MODEL], "--profile", tool.MODEL)
        tool.write(self.folder, "bad.yaml", NODES.replace("512 GiB", "-1"))
        self.refuse(65, ["bad.yaml: node big: memory: ", "64 GiB"], "--nodes",
                    "bad.yaml")
        tool.write(self.folder, "like.yaml",
                   "nodes: [{name: a, memory: 1 GiB, like: b}]")
        self.refuse(65, ["node a: like: ", "--profile"], "--nodes",
                    "like.yaml")

    def test_a_measured_profile_is_planned_and_run(self):
        self.run_well("profile", "-o", "p.h5", np=3, cwd=self.folder)
        done = self.run_well("plan", "--profile", "p.h5", "--min-stages", "2",
                             "-o", "measured.json", "--json",
                             cwd=self.folder)
        plan = json.loads(done.text)
        self.assertEqual(plan["source"], "measured")
        self.assertEqual([s["rank"] for s in plan["stages"]], [1, 2])
        done = self.run_well("run", "--plan", "measured.json", "-p", "To be",
                             "-n", "8", "--temp", "0", np=3, cwd=self.folder)
        plain = self.run_well("run", "-p", "To be", "-n", "8", "--temp", "0",
                              cwd=self.folder)
        self.assertEqual(done.text, plain.text)
        self.refuse(64, ["--pin head=0", "no such rank"], "--profile", "p.h5",
                    "--pin", "head=0")
        self.refuse(78, ["p.h5", "another shape"], "--profile", "p.h5",
                    "--shape", "gpt2-124m")

    def test_under_a_launcher_the_answer_is_the_same(self):
        self.assertEqual(self.plan(np=3).text, self.plan().text)


if __name__ == "__main__":
    tool.main()
