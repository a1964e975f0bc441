"""Weights get into memory in three ways, and onto a node first if asked."""
import os
import sys

import tool
from tool import Case

TEXT = ("-p", "First Citizen:", "-n", "24", "--temp", "0", "--metrics", "off",
        "--plan", "estimate")


class Loading(Case):
    def setUp(self):
        self.folder = tool.make_folder("loading", self.id().split(".")[-1])

    def test_the_text_does_not_depend_on_the_way(self):
        texts = {self.run_well("run", *TEXT, "--load", way, np=np,
                               cwd=self.folder).out
                 for way in ("auto", "map", "copy") for np in (1, 3)}
        self.assertEqual(len(texts), 1)

    def test_each_rank_stages_in_its_part(self):
        os.mkdir(os.path.join(self.folder, "node"))
        first = self.run_well("run", *TEXT, np=3, cwd=self.folder).out
        for _ in range(2):  # the second run finds the copies
            done = self.run_well("run", *TEXT, "--stage-in", "node", np=3,
                                 cwd=self.folder)
            self.assertEqual(done.out, first)
            copies = tool.tree(os.path.join(self.folder, "node"))
            self.assertEqual(len(copies), 2, copies)
        held = sum(os.stat(os.path.join(self.folder, "node", name)).st_blocks
                   for name, _ in copies) * 512
        self.assertLess(held, 1.5 * os.path.getsize(tool.MODEL) + 2 ** 21)

    def test_a_folder_that_is_not_there_is_an_error(self):
        done = tool.run("run", *TEXT, "--stage-in", "none/there", np=3,
                        cwd=self.folder)
        self.check_gone(done)
        self.assertIn(done.code, (66, 73, 77), done)
        self.assertIn("none/there", done.errors()[0])


if __name__ == "__main__":
    sys.exit(tool.main())
