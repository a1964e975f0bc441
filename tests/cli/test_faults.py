"""What users get wrong: one line that names the file, the cause and the fix,
the exit code of sysexits(3), nobody and nothing left behind; alone and under
mpirun alike.
"""
import os
import shutil
import sys
import unittest

import tool
from tool import Case, h5py, numpy

USAGE, DATA, NO_INPUT, UNAVAILABLE, CREATE, PERMISSION = 64, 65, 66, 69, 73, 77
HF_MODEL = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
IS_ROOT = os.geteuid() == 0
# What stages find while they start comes behind the table of the plan.
# But for the probe's line and the plan, which come before the weights are read.
ONLY_THE_LINE = (r"\A(measuring .*\n)?(stage (.+\n)+\n((stage|strategy) (.+\n)+"
                 r"\n)*)?noodle-mpi: .*\n\Z")


class Faults(Case):
    """Faults are (exit code, arguments, words that the line must hold)."""

    def setUp(self):
        self.folder = tool.make_folder("faults", self.id().split(".")[-1])
        with open(tool.MODEL, "rb") as f:
            self.model = f.read()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def file(self, name, data):
        tool.write(self.folder, name, data)
        return name

    def edited_model(self, name, edit):
        """A copy of the bundled model after edit(h5py.File)."""
        path = tool.write(self.folder, name, self.model)
        with h5py.File(path, "r+") as f:
            edit(f)
        return name

    def check(self, faults, more=()):
        """Each fault alone and on three ranks; of `more`, which are much like
        them, each alone."""
        before = tool.tree(self.folder)
        jobs = [(fault, np) for fault in faults for np in (0, 3)]
        jobs += [(fault, 0) for fault in more]
        ended = tool.together(lambda job: tool.run(
            *job[0][1], np=job[1], cwd=self.folder), jobs)
        for ((code, args, words), np), done in zip(jobs, ended):
            with self.subTest(args=args[:4], np=np):
                self.check_error(done, code, words)
                self.assertRegex(done.err, ONLY_THE_LINE, done)
                self.assertEqual(done.out, b"", done)
        self.assertEqual(tool.tree(self.folder), before, "files were left")

    def test_weights_files(self):
        faults = [(NO_INPUT, "missing.h5", "check the path")]
        self.file("empty.h5", b"")
        self.file("text.h5", "not a model\n" * 99)
        os.mkdir(os.path.join(self.folder, "folder.h5"))
        faults += [(DATA, "empty.h5", "import the model again"),
                   (DATA, "text.h5", "not an HDF5 file"),
                   (DATA, "folder.h5", "is a folder")]
        self.check([(code, ["run", "-m", name, "-p", "x"], [name, words])
                    for code, name, words in faults])

    def test_truncated_weights_files(self):
        size = len(self.model)
        lengths = [1, 7, 100, 2048, size // 2, size - 1]
        if h5py:
            with h5py.File(tool.MODEL, "r") as f:
                last = f[f"layers/{len(f['layers']) - 1:04}/down"]
                lengths.append(last.id.get_offset() +
                               last.id.get_storage_size() // 2)
        names = [self.file(f"cut{n}.h5", self.model[:n]) for n in lengths]
        faults = [(DATA, ["run", "-m", name, "-p", "x"],
                   [name, "import the model again"]) for name in names]
        self.check(faults[-3:], faults[:-3])

    @unittest.skipUnless(h5py, "no h5py")
    def test_foreign_and_damaged_hdf5_files(self):
        def config(old, new):
            def edit(f):
                text = f.attrs["config"]
                text = text if isinstance(text, bytes) else text.encode()
                assert old in text
                f.attrs["config"] = numpy.bytes_(text.replace(old, new))
            return edit

        def version(*numbers):
            def edit(f):
                f.attrs["format_version"] = numpy.array(numbers, "i8")
            return edit

        def drop(name):
            def edit(f):
                del f[name]
            return edit

        with h5py.File(os.path.join(self.folder, "foreign.h5"), "w") as f:
            f["a"] = numpy.arange(10.0)
        self.edited_model("version.h5", version(2, 0))
        self.edited_model("json.h5", config(b"{", b"<"))
        self.edited_model("wider.h5", config(b'"hidden_size": 128',
                                             b'"hidden_size": 256'))
        self.edited_model("deeper.h5", config(b'"num_hidden_layers": 8',
                                              b'"num_hidden_layers": 9'))
        self.edited_model("hole.h5", drop("layers/0007/qkv"))
        self.edited_model("mute.h5", drop("tokenizer"))
        faults = [("foreign.h5", "import"), ("version.h5", "version 2.0"),
                  ("json.h5", "JSON"), ("wider.h5", "wider.h5"),
                  ("deeper.h5", "layers/0008"), ("hole.h5", "layers/0007/qkv"),
                  ("mute.h5", "tokenizer")]
        self.check([(DATA, ["run", "-m", name, "-p", "x"], [name, word])
                    for name, word in faults])

    @unittest.skipUnless(h5py, "no h5py")
    def test_more_memory_than_there_is(self):
        def edit(f):
            text = f.attrs["config"]
            text = text if isinstance(text, bytes) else text.encode()
            f.attrs["config"] = numpy.bytes_(text.replace(
                b'"max_position_embeddings": 256',
                b'"max_position_embeddings": 4000000'))

        self.edited_model("long.h5", edit)
        self.file("many.txt", "ROMEO:\n" * 256)
        self.check([(UNAVAILABLE,
                     ["run", "-m", "long.h5", "--prompts", "many.txt",
                      "--parallel", "256", "-b", "256", "-n", "-1",
                      "-c", "4000000"],
                     ["TiB", "does not fit", "-c", "--parallel"])])

    def test_prompts(self):
        self.file("latin1.txt", b"caf\xe9")
        self.file("lines.txt", b"one\n\ntwo\n\xff\n")
        self.file("empty.txt", b"")
        self.file("zero.txt", b"a\0b")
        self.file("long.txt", "word and " * 400)
        self.check([
            (DATA, ["run", "-p", "x " * 2000], ["256", "shorten"]),
            (DATA, ["run", "-p", "x" * 60, "-c", "20"], ["20", "-c"]),
            (DATA, ["run", "-f", "long.txt"], ["long.txt", "256"]),
            (DATA, ["run", "-p", b"caf\xe9"], ["UTF-8", "3"]),
            (DATA, ["run", "-f", "latin1.txt"], ["latin1.txt", "UTF-8"]),
            (DATA, ["run", "--prompts", "lines.txt"],
             ["lines.txt: prompt 3", "UTF-8"]),
            (DATA, ["run", "-p", ""], ["empty"]),
            (DATA, ["run", "-f", "empty.txt"], ["empty.txt", "empty"]),
            (DATA, ["run", "--prompts", "empty.txt"], ["empty.txt"]),
            (DATA, ["run", "-f", "zero.txt"], ["zero.txt", "zero byte"]),
            (NO_INPUT, ["run", "-f", "gone.txt"], ["gone.txt", "path"]),
            (NO_INPUT, ["run", "--prompts", "gone.txt"], ["gone.txt"]),
            (USAGE, ["run", "--prompt-ids", "1,5000"], ["5000", "1023"]),
            (USAGE, ["run", "--prompt-ids", "1,,2"], ["1,2,3"]),
            (USAGE, ["run", "-p", "a", "-f", "b"], ["-p", "-f", "one"]),
            (USAGE, ["run", "-m", tool.MODEL], ["no prompt", "-p"]),
        ])

    def test_splits(self):
        def split(text):
            return ["run", "-p", "x", "--split", text]

        self.check([
            (USAGE, split("3,a"), ["3,a", "3,2,3"]),
            (USAGE, split(""), ["--split"]),
            (USAGE, split("8,-1,1"), ["--split"]),
            (USAGE, split("3"), ["--split 3", "8"]),
            (USAGE, split("1,1,1,1,4"), ["more stages", "mpirun -np"]),
        ])

    def test_options(self):
        self.check([
            (USAGE, ["run", "--promt", "x"], ["--promt", "mean --prompt"]),
            (USAGE, ["rnu"], ["rnu", "mean run"]),
            (USAGE, ["run", "word"], ["word", "quote"]),
            (USAGE, ["run", "-n"], ["-n", "missing"]),
            (USAGE, ["run", "-n", "many"], ["many", "whole number"]),
            (USAGE, ["run", "-n", "-2"], ["-2", "from -1"]),
            (USAGE, ["run", "-n", "99999999999999999999"], ["whole number"]),
            (USAGE, ["run", "--temp", "nan"], ["nan", "from 0"]),
            (USAGE, ["run", "--top-p=1.5"], ["1.5", "from 0 to 1"]),
            (USAGE, ["run", "--json=yes"], ["--json", "no value"]),
            (USAGE, ["run", "-p", "x", "-c", "257"], ["-c 257", "256"]),
            (USAGE, ["run", "-v", "loud"], ["loud", "debug"]),
            (USAGE, ["help", "rnu"], ["rnu", "--help"]),
            (USAGE, ["tokenize"], ["TEXT", "help tokenize"]),
            (USAGE, ["logits", "--ids", "1"], ["-o", "help logits"]),
            (USAGE, ["logits", "-o", "x.npy"], ["--ids", "help logits"]),
        ])

    def test_import(self):
        def source(name, leave_out=()):
            path = os.path.join(self.folder, name)
            shutil.copytree(HF_MODEL, path,
                            ignore=shutil.ignore_patterns(*leave_out))
            return path

        os.mkdir(os.path.join(self.folder, "empty"))
        path = source("pickle", ["model.safetensors"])
        tool.write(path, "pytorch_model.bin", b"PK\3\4")
        path = source("alien")
        with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
            text = f.read()
        tool.write(path, "config.json", text.replace('"llama"', '"mamba"'))
        path = source("cut", ["model.safetensors"])
        with open(os.path.join(HF_MODEL, "model.safetensors"), "rb") as f:
            tool.write(path, "model.safetensors", f.read()[:-1000])
        source("mute", ["tokenizer.json"])
        missing = os.path.join("missing", "out.h5")
        faults = [
            (NO_INPUT, ["import", "empty", "-o", "out.h5"],
             ["empty", "config.json"]),
            (NO_INPUT, ["import", "gone", "-o", "out.h5"], ["gone", "path"]),
            (NO_INPUT, ["import", "pickle", "-o", "out.h5"],
             ["pytorch_model.bin", "safetensors"]),
            (NO_INPUT, ["import", "mute", "-o", "out.h5"],
             ["mute", "tokenizer.json"]),
            (DATA, ["import", "alien", "-o", "out.h5"],
             ["config.json", "mamba", "llama"]),
            (DATA, ["import", "cut", "-o", "out.h5"], ["model.safetensors"]),
            (USAGE, ["import", HF_MODEL], ["-o"]),
            (USAGE, ["import"], ["HF_DIR", "help import"]),
            (CREATE, ["import", HF_MODEL, "-o", missing], [missing, "folder"]),
            (CREATE, ["import", HF_MODEL, "-o", "empty"], ["empty", "folder"]),
            (USAGE, ["synth", "gpt5", "-o", "out.h5"],
             ["gpt5", "gpt2-124m"]),
            (CREATE, ["synth", "gpt2-124m", "-o", missing], [missing]),
        ]
        if not IS_ROOT:
            os.mkdir(os.path.join(self.folder, "locked"), 0o555)
            faults.append((PERMISSION, ["import", HF_MODEL, "-o",
                                        "locked/out.h5"], ["locked"]))
        self.check(faults)

    def test_outputs_that_cannot_be(self):
        self.file("file.txt", b"")
        missing = os.path.join("missing", "out")
        self.check([
            (CREATE, ["run", "-p", "x", "--out", missing], [missing]),
            (CREATE, ["run", "-p", "x", "--out", "file.txt"], ["file.txt"]),
            (CREATE, ["logits", "--ids", "1,2", "-o", missing], [missing]),
        ])

    def test_files_that_inspect_and_check_refuse(self):
        self.file("empty.h5", b"")
        self.file("text.h5", "not a model\n" * 99)
        self.file("cut.h5", self.model[:len(self.model) // 2])
        faults = [(code, [command, name], [name])
                  for code, name in ((NO_INPUT, "gone.h5"),
                                     (DATA, "empty.h5"), (DATA, "text.h5"),
                                     (DATA, "cut.h5"))
                  for command in ("inspect", "check")]
        self.check(faults[:2], faults[2:])

    @unittest.skipUnless(h5py, "no h5py")
    def test_check_finds_one_changed_byte(self):
        names = []
        with h5py.File(tool.MODEL, "r") as f:
            found = []
            f.visititems(lambda _, x: found.append(x)
                         if isinstance(x, h5py.Dataset) else None)
            for x in found[::7] + [f["head/norm"], f["tokenizer/bytes"],
                                   f["tokenizer/merges"]]:
                at = x.id.get_offset()
                if at is None:
                    continue
                data = bytearray(self.model)
                data[at + x.id.get_storage_size() // 3] ^= 16
                name = x.name.strip("/").replace("/", ".") + ".h5"
                names.append((self.file(name, bytes(data)), x.name))
        faults = [(DATA, ["check", name], [name, dataset])
                  for name, dataset in names]
        self.check(faults[:1], faults[1:])

    def test_environment(self):
        jobs = [(key, np) for key in ("NDL_CPU", "NDL_LOG") for np in (0, 3)]
        ended = tool.together(lambda job: tool.run(
            "run", "-p", "x", np=job[1], env={job[0]: "nonsense"}), jobs)
        for job, done in zip(jobs, ended):
            with self.subTest(job):
                self.check_error(done, USAGE, ["nonsense", {
                    "NDL_CPU": "avx2", "NDL_LOG": "debug"}[job[0]]])


if __name__ == "__main__":
    sys.exit(tool.main())
