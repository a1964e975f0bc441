"""noodle-mpi hardware: the tables and the JSON, alone and with ranks."""
import json
import math
import os
import sys

import tool
from tool import Case

NODE_FIELDS = {
    "node": int, "host": str, "cpu": str, "packages": int, "cores": int,
    "threads": int, "numa_nodes": int, "numa_bytes": list,
    "instructions": list, "l1d_bytes": (int, type(None)),
    "l2_bytes": (int, type(None)), "l2_sharing": int,
    "l3_bytes": (int, type(None)), "l3_sharing": int, "memory_bytes": int,
    "cgroup_bytes": (int, type(None)), "free_bytes": int, "gpus": list,
}
RANK_FIELDS = {
    "rank": int, "node": int, "host": str, "n_threads": int, "crowded": bool,
    "cores_allowed": int, "threads_allowed": int, "numa_allowed": int,
    "f32_flop_per_sec": float, "bf16_flop_per_sec": float,
    "int8_op_per_sec": float, "read_bytes_per_sec": float,
    "core_f32_flop_per_sec": float, "core_read_bytes_per_sec": float,
}


class Hardware(Case):
    def check_fields(self, found, fields):
        self.assertEqual(sorted(found), sorted(fields))
        for name, kind in fields.items():
            self.assertIsInstance(found[name], kind, name)
            if kind is float:
                self.assertTrue(math.isfinite(found[name]), name)
                self.assertGreater(found[name], 1e6, name)

    def check_node(self, node):
        self.check_fields(node, NODE_FIELDS)
        self.assertEqual(node["host"], os.uname().nodename[:63])
        self.assertEqual(node["threads"], os.cpu_count())
        self.assertGreaterEqual(node["cores"], node["packages"])
        self.assertGreater(node["memory_bytes"], 1 << 28)
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            flags = f.read().split()
        for word in node["instructions"]:
            self.assertIn(word, flags)

    def check_links(self, found, n):
        pairs = [[i, k] for i in range(n) for k in range(i + 1, n)]
        self.assertEqual([link["ranks"] for link in found["links"]], pairs)
        for link in found["links"]:
            self.assertIs(link["same_node"], True)
            self.assertTrue(1e-9 < link["latency_sec"] < 1, link)
            self.assertTrue(1e6 < link["bytes_per_sec"] < 1e14, link)
        self.assertIsNone(found["links_between_nodes"])
        within = found["links_within_nodes"]
        if n == 1:
            self.assertIsNone(within)
            return
        self.assertEqual(within["links"], len(pairs))
        for name in ("latency_sec", "bytes_per_sec"):
            values = sorted(link[name] for link in found["links"])
            self.assertEqual(within[name], {
                "least": values[0], "median": values[len(values) // 2],
                "greatest": values[-1]})

    def test_json_has_every_field(self):
        for np in (0, 1, 3):
            n = max(np, 1)
            done = self.run_well("hardware", "--json", np=np)
            self.assertEqual(done.err, "", done)
            found = json.loads(done.text)
            self.assertEqual(len(found["nodes"]), 1)
            self.check_node(found["nodes"][0])
            self.assertEqual([r["rank"] for r in found["ranks"]],
                             list(range(n)))
            for rank in found["ranks"]:
                self.check_fields(rank, RANK_FIELDS)
                self.assertTrue(1 <= rank["n_threads"] <=
                                rank["threads_allowed"] <= os.cpu_count())
                self.assertEqual(rank["host"], found["nodes"][0]["host"])
            self.check_links(found, n)

    def test_tables_name_nodes_ranks_and_links(self):
        for np in (0, 3):
            text = self.run_well("hardware", np=np).text
            self.assertRegex(text, r"\Anode 0: \S+, \S")
            for word in ("processors", "instructions", "NUMA", "caches",
                         "memory", "GPUs"):
                self.assertRegex(text, rf"(?m)^  {word} +\S")
            for rank in range(max(np, 1)):
                self.assertRegex(
                    text, rf"(?m)^ +{rank} +0 +\d+( +\d+\.\d){{6}}$")
            links = [line for line in text.splitlines() if " - " in line]
            self.assertEqual(len(links), 3 if np else 0)
            for line in links:
                self.assertRegex(line, r"^ +\d - \d +\d+\.\d\d +\d+\.\d\d +"
                                       r"same node$")

    def test_many_ranks_have_a_summary_of_links(self):
        text = self.run_well("hardware", np=9).text
        self.assertRegex(text, r"(?m)^within nodes +36( +\d+\.\d\d){6}$")
        self.assertNotIn("between nodes", text)
        self.assertNotIn(" - ", text)

    def test_crowded_processors_are_told(self):
        for np in (1, os.cpu_count() + 1):
            if np > 12:
                self.skipTest("many processors")
            text = self.run_well("hardware", np=np).text
            self.assertEqual("more ranks than processors" in text, np > 1)

    def test_output_goes_to_a_file(self):
        folder = tool.make_folder("hardware")
        for words, begin in ((["--json"], "{"), ([], "node 0: ")):
            done = self.run_well("hardware", *words, "-o", "x", np=1,
                                 cwd=folder)
            self.assertEqual(done.text, "")
            with open(os.path.join(folder, "x"), encoding="utf-8") as f:
                self.assertTrue(f.read().startswith(begin))
        self.assertEqual([name for name, _ in tool.tree(folder)], ["x"])

    def test_a_file_that_cannot_be_is_found_before(self):
        for np in (0, 2):
            done = tool.run("hardware", "-o", "nowhere/x", np=np)
            self.check_error(done, 73, ["nowhere/x"])
            self.assertEqual(done.text, "")


if __name__ == "__main__":
    sys.exit(tool.main())
