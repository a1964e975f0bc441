"""The commands beside run: what they print, and that help tells all of it."""
import json
import os
import re
import subprocess
import sys
import unittest

import tool
from tool import Case, h5py, numpy

COMMANDS = ("run", "import", "synth", "export", "quantize", "logits",
            "tokenize", "inspect", "check", "plan", "hardware", "eval", "bench",
            "help")
TABLE = os.path.join(tool.HERE, "..", "..", "src", "cli", "option_table.c")


def options_of_the_table():
    """From the source: [(names, commands)] of every option."""
    with open(TABLE, encoding="utf-8") as f:
        table = f.read().split("ndl_option_table[] = {")[1].split("\n};")[0]
    entry = r'\{ "(-[^"]*)", NDL_OPTION_\w+, AT\(\w+\),\s*([A-Z |]+),'
    return [(names.split(", "), where.split(" | "))
            for names, where in re.findall(entry, table)]


def tensors(folder):
    """Of a model.safetensors: {name: (dtype, shape, bytes)}."""
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        data = f.read()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"],
                   data[slice(*(start + x for x in t["data_offsets"]))])
            for name, t in header.items()}


class Commands(Case):
    def test_tokenize_prints_ids(self):
        for np in (0, 2):
            done = self.run_well("tokenize", "To be, or not", np=np)
            self.assertRegex(done.text, r"\A\d+(,\d+)*\n\Z", done)
        plain = self.run_well("tokenize", "<|endoftext|>x").text
        special = self.run_well("tokenize", "--special",
                                "<|endoftext|>x").text
        self.assertNotEqual(plain, special)
        self.assertIn("0", special.strip().split(","))

    @unittest.skipUnless(h5py, "no h5py")
    def test_inspect_names_every_dataset(self):
        text = self.run_well("inspect", tool.MODEL).text
        names = []
        with h5py.File(tool.MODEL, "r") as f:
            f.visititems(lambda name, x: names.append(name)
                         if isinstance(x, h5py.Dataset) else None)
        self.assertGreater(len(names), 50)
        for name in names:
            self.assertRegex(text, rf"(?m)^/?{re.escape(name)} ", name)
        for word in ("llama", "bf16", "8 blocks", "1024 tokens",
                     "context 256"):
            self.assertIn(word, text)

    def test_check_finds_the_bundled_model_whole(self):
        for np in (0, 3):
            done = self.run_well("check", tool.MODEL, np=np)
            self.assertIn("match", done.text)
            self.assertEqual(done.err, "", done)

    @unittest.skipUnless(numpy, "no numpy")
    def test_logits_are_a_numpy_file(self):
        folder = tool.make_folder("commands", "logits")
        ids = self.run_well("tokenize", "ROMEO:\nI ").text.strip()
        n = ids.count(",") + 1
        found = []
        for np, more in ((0, []), (3, []), (4, ["--chunk", "2"])):
            self.run_well("logits", "--ids", ids, "-o", "x.npy", *more,
                          np=np, cwd=folder)
            self.assertEqual([name for name, _ in tool.tree(folder)],
                             ["x.npy"])
            x = numpy.load(os.path.join(folder, "x.npy"))
            self.assertEqual((x.shape, x.dtype), ((n, 1024), numpy.float32))
            self.assertTrue(numpy.isfinite(x).all())
            found.append(x)
        self.assertEqual(found[0].tobytes(), found[1].tobytes())
        self.assertEqual(found[0].tobytes(), found[2].tobytes())
        greedy = self.run_well("run", "--prompt-ids", ids, "-n", "1",
                               "--temp", "0", "--ignore-eos", "--json").text
        self.assertIn(f'"ids": [\n  {int(found[0][-1].argmax())}\n', greedy)

    def test_version_names_what_it_stands_on(self):
        for np in (0, 2):
            text = self.run_well("--version", np=np).text
            self.assertRegex(text, r"\Anoodle-mpi \d+\.\d+\.\d+\n")
            for word in ("MPI", "BLAS", "HDF5", "hwloc", "kernels"):
                self.assertRegex(text, rf"(?m)^{word} +\S")
            self.assertRegex(text, r"(?m)^HDF5 .*\d+\.\d+\.\d+")
            self.assertRegex(text, r"(?m)^MPI .*\d+\.\d+\.\d+")
        text = self.run_well("--version", env={"NDL_CPU": "ref"}).text
        self.assertRegex(text, r"(?m)^kernels +ref$")

    def test_help_documents_every_option_of_the_table(self):
        table = options_of_the_table()
        self.assertGreater(len(table), 25)
        overview = self.run_well("help").text
        for line in overview.splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertEqual(overview, self.run_well("--help", np=2).text)
        pages = tool.together(lambda c: self.run_well("help", c).text, COMMANDS)
        again = tool.together(lambda c: self.run_well(c, "--help").text,
                              COMMANDS)
        self.assertEqual(pages, again)
        where_of = {}
        for names, where in table:  # a name may mean two things
            where_of.setdefault(tuple(names), []).extend(where)
        for command, page in zip(COMMANDS, pages):
            self.assertRegex(overview, rf"(?m)^  {command} ")
            for names, where in where_of.items():
                shown = bool(re.search(
                    rf"(?m)^  {re.escape(', '.join(names))}( |$)", page))
                meant = "ALL" in where or command.upper() in where
                self.assertEqual(shown, meant, f"help {command}: {names}")
            for line in page.splitlines():
                self.assertLessEqual(len(line), 80, line)
                self.assertEqual(line, line.rstrip(), "trailing blanks")

    def test_the_same_import_gives_the_same_file(self):
        folder = tool.make_folder("commands", "import")
        source = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
        env = {"SOURCE_DATE_EPOCH": "0"}
        for name, np in (("a.h5", 0), ("b.h5", 2)):
            self.run_well("import", source, "-o", name, np=np, cwd=folder,
                          env=env)
        with open(os.path.join(folder, "a.h5"), "rb") as a, \
                open(os.path.join(folder, "b.h5"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.assertEqual([name for name, _ in tool.tree(folder)],
                         ["a.h5", "b.h5"])
        self.run_well("check", "b.h5", cwd=folder)
        ours = self.run_well("run", "-m", "a.h5", "-p", "ROMEO:",
                             cwd=folder).text
        self.assertEqual(ours, self.run_well("run", "-p", "ROMEO:").text)
        self.run_well("import", source, "-o", "c.h5", "--dtype", "f32",
                      cwd=folder)
        self.assertIn("f32", self.run_well("inspect", "c.h5",
                                           cwd=folder).text)

    def test_export_gives_back_what_was_imported(self):
        folder = tool.make_folder("commands", "export")
        source = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
        for name, np in (("a", 0), ("b", 2)):
            done = self.run_well("export", tool.MODEL, "-o", name, np=np,
                                 cwd=folder)
            self.assertEqual(done.text, "")
        again = [(f"b{n[1:]}", size) for n, size in tool.tree(folder)
                 if n[0] == "a"]
        self.assertEqual([x for x in tool.tree(folder) if x[0][0] == "b"],
                         again)
        ours = os.path.join(folder, "a")
        for name in ("config.json", "generation_config.json",
                     "tokenizer.json"):
            with open(os.path.join(source, name), "rb") as x, \
                    open(os.path.join(ours, name), "rb") as y:
                self.assertEqual(x.read(), y.read(), name)
        self.assertEqual(tensors(ours), tensors(source))
        self.run_well("import", "a", "-o", "a.h5", cwd=folder)
        text = self.run_well("run", "-m", "a.h5", "-p", "ROMEO:",
                             cwd=folder).text
        self.assertEqual(text, self.run_well("run", "-p", "ROMEO:").text)

    def test_quantize_makes_a_smaller_file(self):
        folder = tool.make_folder("commands", "quantize")
        size = os.path.getsize(tool.MODEL)
        for dtype, share in (("int8", 0.7), ("int4", 0.55)):
            done = self.run_well("quantize", tool.MODEL, "-o", "q.h5",
                                 "--dtype", dtype, cwd=folder)
            self.assertEqual(done.text, "")
            self.assertEqual([n for n, _ in tool.tree(folder)], ["q.h5"])
            smaller = os.path.getsize(os.path.join(folder, "q.h5"))
            self.assertLess(smaller, share * size)
            self.run_well("check", "q.h5", cwd=folder)
            self.assertIn(dtype, self.run_well("inspect", "q.h5",
                                               cwd=folder).text)

    def test_quantize_says_what_it_needs(self):
        folder = tool.make_folder("commands", "quantize_errors")
        with open(tool.MODEL, "rb") as f:
            tool.write(folder, "a.h5", f.read())
        before = tool.tree(folder)
        for args, code, words in (
                (("a.h5",), 64, ["-o FILE"]),
                (("a.h5", "-o", "x"), 64, ["--dtype"]),
                (("a.h5", "-o", "x", "--dtype", "bf16"), 64, ["int8"]),
                (("a.h5", "-o", "x", "--dtype", "int5"), 64, ["int5"]),
                (("a.h5", "-o", "x", "--dtype", "int4", "--keep", "tail"),
                 64, ["tail"]),
                (("a.h5", "-o", "a.h5", "--dtype", "int8"), 64, ["another"]),
                (("none.h5", "-o", "x", "--dtype", "int8"), 66, ["none.h5"])):
            self.check_error(tool.run("quantize", *args, cwd=folder), code,
                             words)
        self.check_error(tool.run("synth", "gpt2-124m", "-o", "x", "--keep",
                                  "v", cwd=folder), 64, ["--dtype"])
        self.assertEqual(tool.tree(folder), before)

    def test_export_says_what_it_needs(self):
        folder = tool.make_folder("commands", "export_errors")
        tool.write(folder, "file", "x")
        for args, code, words in (
                (("export",), 64, ["export"]),
                (("export", tool.MODEL), 64, ["-o DIR"]),
                (("export", "file", "-o", "x"), 65, ["file"]),
                (("export", "none.h5", "-o", "x"), 66, ["none.h5"]),
                (("export", tool.MODEL, "-o", "file"), 73, ["file"]),
                (("export", tool.MODEL, "-o", "no/dir"), 73, ["no/dir"])):
            self.check_error(tool.run(*args, cwd=folder), code, words)
        self.assertEqual(tool.tree(folder), [("file", 1)])


class Installed(Case):
    def test_an_installed_program_finds_its_model(self):
        build = os.environ.get("NDL_BUILD_DIR")
        if not build:
            self.skipTest("NDL_BUILD_DIR is not set")
        prefix = tool.make_folder("commands", "prefix")
        done = subprocess.run(
            [os.environ.get("NDL_CMAKE", "cmake"), "--install", build,
             "--prefix", prefix], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        path = os.path.join(prefix, "bin", "noodle-mpi")
        done = subprocess.run(
            [path, "run", "-p", "ROMEO:", "-n", "5"], cwd="/",
            env=tool.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(done.stdout, self.run_well(
            "run", "-p", "ROMEO:", "-n", "5").out)


if __name__ == "__main__":
    sys.exit(tool.main())
