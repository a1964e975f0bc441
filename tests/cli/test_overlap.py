"""The stages of a pipeline work at the same time."""
import os
import subprocess
import sys

import tool
from tool import Case

BENCH = os.path.join(os.path.dirname(os.path.dirname(tool.HERE)), "bench",
                     "overlap.py")


class Overlap(Case):
    def test_three_stages_reach_most_of_one_on_the_same_cores(self):
        folder = tool.make_folder("overlap")
        model = os.path.join(folder, "random.h5")
        try:
            self.run_well("synth", "gpt2-124m", "-o", model, "--dtype", "f32")
            done = subprocess.run(
                [sys.executable, BENCH, tool.PATH, model, "--rounds", "3",
                 "--at-least", "0.85"], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=500)
        finally:
            if os.path.exists(model):
                os.remove(model)
        print(done.stdout.decode())
        self.assertEqual(done.returncode, 0, done.stderr.decode())


if __name__ == "__main__":
    tool.main()
