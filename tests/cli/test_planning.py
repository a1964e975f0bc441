"""A run plans from what it measured: probe, profile, strategies, emulation."""
import json
import os
import sys

import tool
from tool import Case

USAGE, DATA, MISSING, CONFIG = 64, 65, 66, 78
TEXT = ("-p", "First Citizen:", "-n", "24", "--temp", "0", "--metrics", "off")


class Planning(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("planning")
        done = tool.run("profile", "-o", "three.h5", "-np", "4", np=4,
                        cwd=cls.folder)
        assert done.code == 0, done
        cls.table = done.text
        cls.text = tool.run("run", *TEXT, cwd=cls.folder).out

    def run_json(self, *args, np=4):
        done = self.run_well("run", *TEXT, "--json", *args, np=np,
                             cwd=self.folder)
        return json.loads(done.text)

    def test_profile_tells_what_it_measured(self):
        for word in ("rank", "prompt", "fit's error", "same node", "measured"):
            self.assertIn(word, self.table)
        done = self.run_well("profile", "--json", np=2, cwd=self.folder)
        said = json.loads(done.text)
        self.assertEqual(len(said["ranks"]), 2)
        self.assertTrue(said["signature"]["shape"])

    def test_three_ranks_or_more_are_measured_unless_told_otherwise(self):
        plan = self.run_json()["plan"]
        self.assertEqual(plan["source"], "measured")
        self.assertEqual(plan["strategy"], "throughput")
        self.assertTrue(all(s["busy_sec"] > 0 for s in plan["stages"]))
        plan = self.run_json(np=2)["plan"]
        self.assertEqual(plan["period_sec"], 0)
        plan = self.run_json("--plan", "estimate")["plan"]
        self.assertEqual(plan["period_sec"], 0)

    def test_the_text_does_not_depend_on_the_plan(self):
        for more in (["--plan", "three.h5", "-np", "4"],
                     ["--strategy", "balanced"], ["--strategy", "latency"],
                     ["--split", "1,6,1", "--plan", "measure"]):
            done = self.run_well("run", *TEXT, *more, np=4, cwd=self.folder)
            self.assertEqual(done.out, self.text, more)

    def test_a_saved_profile_gives_the_plan_without_measuring(self):
        said = self.run_json("--plan", "three.h5")
        self.assertEqual(said["timings"]["probe_sec"], 0)
        self.assertEqual(said["plan"]["source"], "measured")
        self.assertGreater(said["plan"]["period_sec"], 0)

    def test_a_measured_profile_can_be_kept(self):
        said = self.run_json("--save-profile", "kept.h5")
        self.assertGreater(said["timings"]["probe_sec"], 0)
        again = self.run_json("--plan", "kept.h5")
        self.assertEqual(again["timings"]["probe_sec"], 0)
        self.assertEqual(
            [s["n_layers"] for s in said["plan"]["stages"]],
            [s["n_layers"] for s in again["plan"]["stages"]])

    def test_a_stale_profile_is_refused_with_what_differs(self):
        for np, more, word in ((3, [], "hosts"), (4, ["-t", "2"], "threads"),
                               (4, ["--load", "map"], "load"),
                               (4, ["--emulate", "rank=1,speed=0.5"],
                                "speeds")):
            done = tool.run("run", *TEXT, "--plan", "three.h5", *more, np=np,
                            cwd=self.folder)
            self.check_error(done, CONFIG, ["three.h5", word])

    def test_a_damaged_profile_is_refused(self):
        with open(os.path.join(self.folder, "three.h5"), "rb") as f:
            whole = f.read()
        tool.write(self.folder, "cut.h5", whole[:len(whole) // 2])
        done = tool.run("run", *TEXT, "--plan", "cut.h5", np=4,
                        cwd=self.folder)
        self.check_error(done, DATA, ["cut.h5"])
        done = tool.run("run", *TEXT, "--plan", "none.h5", np=4,
                        cwd=self.folder)
        self.check_error(done, MISSING, ["none.h5"])

    def test_a_users_split_gets_its_times(self):
        plan = self.run_json("--split", "2,4,2", "--plan", "three.h5")["plan"]
        self.assertEqual([s["n_layers"] for s in plan["stages"]], [2, 4, 2])
        self.assertEqual(plan["strategy"], "split")
        self.assertTrue(all(s["busy_sec"] > 0 for s in plan["stages"]))

    def test_a_stored_plan_is_run_as_it_is(self):
        self.run_well("plan", "--profile", "three.h5", "-np", "1", "-o",
                      "plan.json", "--strategy", "balanced", cwd=self.folder)
        with open(os.path.join(self.folder, "plan.json"),
                  encoding="utf-8") as f:
            stored = json.load(f)
        plan = self.run_json("--plan", "plan.json")["plan"]
        for key in ("rank", "first_layer", "n_layers", "embed", "head"):
            self.assertEqual([s[key] for s in plan["stages"]],
                             [s[key] for s in stored["stages"]], key)
        done = tool.run("run", *TEXT, "--plan", "plan.json", np=2,
                        cwd=self.folder)
        self.check_error(done, CONFIG, ["plan.json", "rank"])
        done = tool.run("run", *TEXT, "--plan", "plan.json", "--split", "4,4",
                        np=3, cwd=self.folder)
        self.check_error(done, USAGE, ["--split"])

    def test_pins_and_limits_are_kept(self):
        plan = self.run_json("--plan", "three.h5", "--pin", "head=2",
                             "--max-stages", "2")["plan"]
        self.assertLessEqual(plan["n_stages"], 2)
        self.assertEqual(plan["stages"][-1]["rank"], 2)
        done = tool.run("run", *TEXT, "--plan", "three.h5", "--pin", "head=0",
                        np=4, cwd=self.folder)
        self.check_error(done, USAGE, ["--pin", "head"])

    def test_a_slow_rank_gets_fewer_layers(self):
        plan = self.run_json("--emulate", "rank=2,speed=0.05", "-t", "1",
                             np=3)["plan"]
        layers = {s["rank"]: s["n_layers"] for s in plan["stages"]}
        self.assertGreater(layers[1], layers.get(2, 0))
        self.assertTrue(any("emulated" in n for n in plan["notes"]), plan)

    def test_rank_0_may_host_a_stage_too(self):
        for np, how in ((2, "estimate"), (3, "measure")):
            said = self.run_json("--rank0", "shared", "--plan", how,
                                 "--min-stages", str(np), np=np)
            self.assertEqual([s["rank"] for s in said["plan"]["stages"]],
                             list(range(np)))
            self.assertEqual(said["prompt"] + said["text"],
                             self.text.decode()[:-1])
            self.assertTrue(all(0 < s["ping_sec"] < 1
                                for s in said["stages"]), said["stages"])
        done = self.run_well("profile", "--rank0", "shared", "--json", np=2,
                             cwd=self.folder)
        threads = [r["threads"] for r in json.loads(done.text)["ranks"]]
        self.assertTrue(all(n > 0 for n in threads), threads)

    def test_a_slow_link_delays_every_token_and_changes_none(self):
        plain, slow = (
            self.run_json("--split", "4,4", "-t", "1", *more, np=3)
            for more in ([], ["--emulate", "link=1-2,delay=50ms"]))
        self.assertEqual(plain["ids"], slow["ids"])
        self.assertGreater(slow["timings"]["decode_sec"], 23 * 0.05)

    def test_wrong_words_are_refused(self):
        for more, word in ((["--emulate", "rank=0,speed=0.5"], "from 1 to 2"),
                           (["--emulate", "rank=3,speed=0.5"], "from 1 to 2"),
                           (["--emulate", "rank=1,speed=2"], "--emulate"),
                           (["--emulate", "link=1-1,delay=1ms"], "two diff"),
                           (["--emulate", "rank=1"], "--emulate"),
                           (["--emulate", "link=1-3,delay=1ms"], "link=1-3"),
                           (["--emulate", "link=1-2"], "link=1-2"),
                           (["--load", "fast"], "--load"),
                           (["--rank0", "both"], "--rank0"),
                           (["--strategy", "best"], "--strategy"),
                           (["--plan", "estimate", "--save-profile", "x"],
                            "--save-profile")):
            done = tool.run("run", *TEXT, *more, np=3, cwd=self.folder)
            self.check_error(done, USAGE, [word])
        done = tool.run("run", *TEXT, "--plan", "mesure", np=3,
                        cwd=self.folder)
        self.check_error(done, 66, ["--plan mesure", "give estimate, measure"])


if __name__ == "__main__":
    sys.exit(tool.main())
