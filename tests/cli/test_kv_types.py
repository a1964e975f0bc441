"""-ctk and -ctv: the same text on any ranks with every type of KV cache, its
memory where it is told, other types and mixtures refused, and a profile of
other types not taken.
"""
import json
import os
import unittest

import tool
from tool import Case, h5py, numpy

USAGE, CONFIG = 64, 78
PROMPT = "First Citizen:\nBefore we proceed any further, hear me speak. "
TEXT = ("-p", PROMPT * 4, "-n", "40", "--temp", "0", "--metrics", "off")
INT8 = ("-ctk", "int8", "-ctv", "int8")
TYPES = [("bf16", "bf16"), ("int8", "int8"), ("int8", "bf16"),
         ("bf16", "int8"), ("f32", "f32")]
NODES = """nodes:
  - {name: big, count: 2, memory: 64 GiB, threads: 8, compute: 4 TFLOP/s,
     bandwidth: 100 GB/s}
"""
# llama-3.2-1b: blocks, kv heads, their size; a sequence of two pages each
BLOCKS, HEADS, SIZE, SLOTS, POSITIONS = 16, 8, 64, 3, 512


def row_bytes(name):
    return {"f32": 4 * SIZE, "bf16": 2 * SIZE, "int8": SIZE + 4}[name]


class KvTypes(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("kv_types")
        tool.write(cls.folder, "nodes.yaml", NODES)
        tool.write(cls.folder, "text.txt", PROMPT * 20)

    def test_the_text_does_not_depend_on_ranks_chunks_or_threads(self):
        for k, v in TYPES[1:4]:
            ask = ("run", *TEXT, "-ctk", k, "-ctv", v)
            alone = self.run_well(*ask, cwd=self.folder).out
            for more, np in ((["-b", "7"], 0), (["-t", "3"], 2),
                             (["--split", "3,5"], 3),
                             (["--plan", "measure"], 4)):
                done = self.run_well(*ask, *more, np=np, cwd=self.folder)
                self.assertEqual(done.out, alone, (k, v, more, np))

    def test_what_is_spelled_out_is_the_default(self):
        for more in (["-ctk", "bf16"], ["--cache-type-v=bf16"],
                     ["--cache-type-k", "bf16", "-ctv", "bf16"]):
            self.assertEqual(
                self.run_well("run", *TEXT, *more, cwd=self.folder).out,
                self.run_well("run", *TEXT, cwd=self.folder).out)

    @unittest.skipUnless(numpy, "no numpy")
    def test_logits_are_near_and_not_the_same(self):
        ids = ",".join(str(i) for i in range(2, 200))
        found = {}
        for k, v in TYPES:
            self.run_well("logits", "--ids", ids, "-o", "x.npy", "-ctk", k,
                          "-ctv", v, cwd=self.folder)
            x = numpy.load(os.path.join(self.folder, "x.npy"))
            found[k, v] = x.astype(float)
        exact = found.pop(("f32", "f32"))
        for types, x in found.items():
            off = ((x - exact) ** 2).sum() / (exact ** 2).sum()
            self.assertTrue(0 < off ** 0.5 < 0.02, (types, off ** 0.5))

    def test_eval_measures_what_int8_changes(self):
        ask = ("eval", "-f", "text.txt", "-c", "128", "--json", "--against",
               tool.MODEL)
        said = self.run_well(*ask, *INT8, cwd=self.folder)
        found = json.loads(said.text)
        against = found["against"]
        self.assertEqual((found["type_k"], found["type_v"]), ("int8", "int8"))
        self.assertEqual((against["type_k"], against["type_v"]),
                         ("bf16", "bf16"))
        self.assertTrue(0 < against["kl"]["mean"] < 1e-3, against)
        self.assertEqual(
            self.run_well(*ask, *INT8, np=3, cwd=self.folder).out, said.out)
        same = json.loads(self.run_well(*ask, cwd=self.folder).text)
        self.assertEqual(same["against"]["kl"]["max"], 0)
        plain = self.run_well(*[x for x in ask if x != "--json"], *INT8,
                              cwd=self.folder).text
        self.assertIn("KV cache in int8, of the base in bf16\n", plain)

    def plan(self, *more):
        return self.run_well("plan", "--shape", "llama-3.2-1b", "--nodes",
                             "nodes.yaml", "-c", str(POSITIONS), "-np",
                             str(SLOTS), *more, cwd=self.folder).text

    def test_plans_count_the_bytes_of_the_types(self):
        times = {}
        for k, v in TYPES:
            more = ("-ctk", k, "-ctv", v)
            name = k if k == v else f"{k}/{v}"
            self.assertIn(f" in {name} for {SLOTS} sequences",
                          self.plan(*more))
            plan = json.loads(self.plan("--json", *more))
            self.assertEqual(
                sum(stage["kv_bytes"] for stage in plan["stages"]),
                BLOCKS * HEADS * SLOTS * POSITIONS *
                (row_bytes(k) + row_bytes(v)))
            times[name] = sum(s["decode_sec"] for s in plan["stages"])
        # A decode step is bound by what it reads.
        self.assertLess(times["int8"], times["int8/bf16"])
        self.assertEqual(times["bf16/int8"], times["int8/bf16"])
        self.assertLess(times["int8/bf16"], times["bf16"])
        self.assertLess(times["bf16"], times["f32"])

    @unittest.skipUnless(h5py, "no h5py")
    def test_a_run_tells_its_types(self):
        for more, k, v in ((["-ctv", "int8"], "bf16", "int8"),
                           ([], "bf16", "bf16")):
            said = json.loads(self.run_well(
                "run", *TEXT[:-1], "m.h5", "--json", *more,
                cwd=self.folder).text)
            self.assertEqual((said["type_k"], said["type_v"]), (k, v))
            with h5py.File(os.path.join(self.folder, "m.h5"), "r") as f:
                have = f["system"].attrs["kv_dtype"]
                self.assertEqual(have.decode(),
                                 k if k == v else f"{k}/{v}")

    def test_a_profile_of_other_types_is_not_taken(self):
        self.run_well("profile", "-np", "1", "-o", "p.h5", *INT8, np=3,
                      cwd=self.folder)
        self.run_well("run", *TEXT, "--plan", "p.h5", *INT8, np=3,
                      cwd=self.folder)
        self.run_well("plan", "--profile", "p.h5", *INT8, cwd=self.folder)
        for more, words in (
                ([], ["p.h5", "kv_dtype (then int8, now bf16)"]),
                (["-ctk", "int8"],
                 ["p.h5", "kv_dtype (then int8, now int8/bf16)"])):
            self.check_error(tool.run("run", *TEXT, "--plan", "p.h5", *more,
                                      np=3, cwd=self.folder), CONFIG, words)
            self.check_error(tool.run("plan", "--profile", "p.h5", *more,
                                      cwd=self.folder),
                             CONFIG, ["p.h5", "kv_dtype, int8 and not"])

    def test_other_types_and_mixtures_are_refused(self):
        commands = (("run", "-p", "x"), ("logits", "--ids", "1", "-o", "y.npy"),
                    ("eval", "-f", "text.txt"), ("profile",),
                    ("plan", "--nodes", "nodes.yaml"), ("bench",))
        faults = ((["-ctk", "f16"], ["-ctk f16", "bf16 (of the same size)"]),
                  (["-ctv", "q8_0"], ["-ctv q8_0", "int8"]),
                  (["-ctk", "q4_0"], ["-ctk q4_0", "int8"]),
                  (["-ctk", "fast"], ["-ctk fast", "f32, bf16 or int8"]),
                  (["-ctk", "f32"], ["-ctv bf16 (by default)", "for both"]),
                  (["-ctk", "int8", "-ctv", "f32"], ["-ctv f32", "for both"]))
        jobs = [(command, *fault) for command in commands for fault in faults]
        results = tool.together(
            lambda job: tool.run(*job[0], *job[1], cwd=self.folder), jobs)
        for (_, _, words), done in zip(jobs, results):
            with self.subTest(done.command):
                self.check_error(done, USAGE, words)
                self.assertEqual(done.text, "")


if __name__ == "__main__":
    tool.main()
