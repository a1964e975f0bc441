"""What README.md shows is what happens."""
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import unittest

import tool
from tool import Case

try:
    import pandas
except ImportError:
    pandas = None

ROOT = os.path.dirname(os.path.dirname(tool.HERE))
BUNDLED = os.path.join(ROOT, "models", "shakespeare", "model.safetensors")


def blocks(kind):
    """The fenced blocks of a kind."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        return re.findall(rf"^```{kind}\n(.*?)^```$", f.read(), re.S | re.M)


def source_matrix(name):
    """A bf16 matrix of the bundled checkpoint, widened."""
    with open(BUNDLED, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        entry = json.loads(f.read(n))[name]
        begin, end = entry["data_offsets"]
        f.seek(8 + n + begin)
        bits = tool.numpy.frombuffer(f.read(end - begin), "<u2")
    wide = bits.astype(tool.numpy.uint32) << 16
    return wide.view(tool.numpy.float32).reshape(entry["shape"])


class Readme(Case):
    def test_greedy_text_is_the_same_for_every_number_of_ranks(self):
        shown = [b for b in blocks("text") if b.startswith("$ mpirun")]
        self.assertEqual(len(shown), 1)
        command, text = shown[0].split("\n", 1)
        words = shlex.split(command[2:])
        args = words[words.index("noodle-mpi") + 1:]
        for np in (0, 2, 4):
            self.assertEqual(self.run_well(*args, np=np).text, text, np)

    @unittest.skipUnless(tool.h5py and tool.numpy, "needs h5py and numpy")
    def test_python_reads_a_matrix_back(self):
        code, = [b for b in blocks("python") if "matrix" in b]
        folder = tool.make_folder("readme")
        shutil.copy(tool.MODEL, os.path.join(folder, "shakespeare.h5"))
        done = subprocess.run([sys.executable, "-c", code], cwd=folder,
                              stdout=subprocess.PIPE, check=True, timeout=60)
        self.assertEqual(done.stdout.decode().strip(), "(128, 320)")
        names = {}
        exec(code.split("with h5py.File")[0], names)
        with tool.h5py.File(tool.MODEL, "r") as f:
            read = names["matrix"](f, "/layers/0003/down")
        want = source_matrix("model.layers.3.mlp.down_proj.weight")
        self.assertTrue((read == want).all())

    @unittest.skipUnless(tool.h5py and pandas, "needs h5py and pandas")
    def test_pandas_reads_the_steps_of_a_run(self):
        code, = [b for b in blocks("python") if "pandas" in b]
        folder = tool.make_folder("readme-run")
        self.run_well("run", "-p", "ROMEO:", "-n", "8", np=3, cwd=folder)
        done = subprocess.run([sys.executable, "-c", code], cwd=folder,
                              stdout=subprocess.PIPE, check=True, timeout=60)
        lines = done.stdout.decode().splitlines()
        self.assertEqual([line.split()[0] for line in lines[2:]], ["1", "2"])

    def test_commands_that_it_names_exist(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
            text = f.read().split("| command |")[1].split("\n\n")[0]
        table = re.findall(r"^\| (`[a-z`, ]+`) \|", text, re.M)
        names = re.findall(r"`([a-z]+)`", " ".join(table))
        self.assertGreaterEqual(len(names), 7)
        for name in names:
            self.run_well("help", name)


if __name__ == "__main__":
    tool.main()
