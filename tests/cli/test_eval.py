"""eval: what it says of the bundled model is what NumPy makes of its logits, on
any number of ranks; a model compared with itself is the same; wrong input has
its own message and code.
"""
import json
import os
import shutil
import unittest

import tool
from tool import Case, numpy

TEXT = """First Citizen:
Before we proceed any further, hear me speak.

All:
Speak, speak.

First Citizen:
You are all resolved rather to die than to famish?

ROMEO:
But, soft! what light through yonder window breaks?
It is the east, and Juliet is the sun.
Arise, fair sun, and kill the envious moon,
Who is already sick and pale with grief,
That thou her maid art far more fair than she.
"""
CONTEXT = 32
SCORED = CONTEXT - CONTEXT // 2 - 1


def log_softmax(x):
    x = x.astype(numpy.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(axis=-1, keepdims=True))


class Eval(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("eval")
        tool.write(cls.folder, "text.txt", TEXT)
        cls.f32 = os.path.join(cls.folder, "f32.h5")
        source = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
        done = tool.run("import", source, "-o", cls.f32, "--dtype", "f32")
        assert done.code == 0, done

    def eval(self, *args, np=0):
        done = self.run_well("eval", "-f", "text.txt", "-c", str(CONTEXT),
                             *args, np=np, cwd=self.folder)
        left = [name for name, _ in tool.tree(self.folder)
                if "logits" in name]
        self.assertEqual(left, [])
        return done

    def logits(self, model, ids):
        """Of every window, by another command: (windows, CONTEXT, V)."""
        found = []
        for window in ids:
            path = os.path.join(self.folder, "x.npy")
            self.run_well("logits", "-m", model, "--ids",
                          ",".join(map(str, window)), "-o", path)
            found.append(numpy.load(path))
            os.remove(path)
        return numpy.stack(found)

    def ids(self):
        said = self.run_well("tokenize", TEXT).text
        return [int(x) for x in said.split(",")]

    def scored(self, model, stride=CONTEXT, bos=None):
        """log softmax of the rows that count, what follows them, logits."""
        front = [] if bos is None else [bos]
        ids = front + self.ids()
        windows = [front + ids[i + len(front):i + CONTEXT]
                   for i in range(0, len(ids) - CONTEXT + 1, stride)]
        n = min(SCORED, stride)
        rows = self.logits(model, windows)[:, CONTEXT - n - 1:CONTEXT - 1]
        targets = numpy.array(windows)[:, CONTEXT - n:].reshape(-1)
        rows = rows.reshape(-1, rows.shape[-1])
        return log_softmax(rows), targets, rows

    def test_every_number_of_ranks_says_the_same_to_the_last_digit(self):
        jobs = [(np, args) for args in ([], ["--json"],
                                        ["--json", "--against", self.f32])
                for np in (0, 2, 3, 4)]
        said = {}
        for np, args in jobs:
            text = self.eval(*args, np=np).out
            said.setdefault(len(args), text)
            self.assertEqual(said[len(args)], text, (np, args))
        for more in (["-b", "7"], ["-b", "1"], ["-t", "3"]):
            self.assertEqual(self.eval("--json", *more).out, said[1], more)
        self.assertEqual(
            self.eval("--json", "--split", "1,7", np=3).out, said[1])

    @unittest.skipUnless(numpy, "no numpy")
    def test_perplexity_is_that_of_the_logits(self):
        for stride in (CONTEXT, 5):
            said = json.loads(self.eval("--json", "--stride",
                                        str(stride)).out)
            log_p, targets, _ = self.scored(tool.MODEL, stride)
            nll = -log_p[numpy.arange(len(targets)), targets]
            error = nll.std(ddof=1) / len(nll) ** 0.5
            self.assertEqual(said["scored_tokens"], len(nll))
            self.assertEqual(said["text_tokens"], len(self.ids()))
            self.assertGreater(said["windows"], 2)
            for name, want in (("nll", nll.mean()), ("nll_error", error),
                               ("perplexity", numpy.exp(nll.mean())),
                               ("perplexity_error",
                                numpy.exp(nll.mean()) * error)):
                self.assertAlmostEqual(said[name], want, delta=1e-9, msg=name)

    @unittest.skipUnless(numpy, "no numpy")
    def test_comparison_is_that_of_the_logits(self):
        said = json.loads(self.eval("--json", "--against", self.f32).out)
        q, targets, x = self.scored(tool.MODEL)
        p, _, y = self.scored(self.f32)
        kl = (numpy.exp(p) * (p - q)).sum(axis=1)
        at = numpy.arange(len(targets)), targets
        change = numpy.exp(q[at]) - numpy.exp(p[at])
        against = said["against"]
        top = (x.argmax(axis=1) == y.argmax(axis=1)).mean()
        diff = numpy.abs(x.astype(float) - y.astype(float)).max()
        self.assertGreater(kl.mean(), 0.0)
        for have, want in (
                (against["kl"]["mean"], kl.mean()),
                (against["kl"]["median"], numpy.median(kl)),
                (against["kl"]["quantile_99"], numpy.quantile(kl, 0.99)),
                (against["kl"]["max"], kl.max()),
                (against["perplexity"], numpy.exp(-p[at].mean())),
                (against["log_perplexity_ratio"]["mean"],
                 (p[at] - q[at]).mean()),
                (against["same_top"]["mean"], top),
                (against["max_logit_difference"], diff),
                (against["p_change"]["mean"], change.mean()),
                (against["p_change_rms"], (change ** 2).mean() ** 0.5)):
            self.assertAlmostEqual(have, want, delta=1e-9)

    @unittest.skipUnless(numpy, "no numpy")
    def test_every_window_begins_with_bos(self):
        model = self.other_model("bos", bos=True)
        said = json.loads(self.eval("-m", model, "--json", np=2).out)
        log_p, targets, _ = self.scored(tool.MODEL, bos=0)
        self.assertEqual(said["text_tokens"], len(self.ids()) + 1)
        self.assertAlmostEqual(
            said["nll"], -log_p[numpy.arange(len(targets)), targets].mean(),
            delta=1e-9)

    def test_a_model_is_the_same_as_itself(self):
        for np in (0, 3):
            said = json.loads(self.eval("--json", "--against", tool.MODEL,
                                        np=np).out)
            against = said["against"]
            self.assertEqual(set(against["kl"].values()), {0.0})
            self.assertEqual(against["same_top"], {"mean": 1.0, "error": 0.0})
            self.assertEqual(against["perplexity_ratio"]["mean"], 1.0)
            self.assertEqual(against["max_logit_difference"], 0.0)
            self.assertEqual(against["perplexity"], said["perplexity"])

    def test_ids_in_a_file_are_the_text(self):
        ids = self.ids()
        want = self.eval().out
        for text in (",".join(map(str, ids)), "\n".join(map(str, ids)) + "\n",
                     " ,\t".join(map(str, ids))):
            tool.write(self.folder, "ids.txt", text)
            done = self.run_well("eval", "--ids", "ids.txt", "-c",
                                 str(CONTEXT), cwd=self.folder)
            self.assertEqual(done.out, want)

    def test_windows_are_limited(self):
        said = json.loads(self.eval("--json", "--windows", "2").out)
        self.assertEqual((said["windows"], said["scored_tokens"]),
                         (2, 2 * SCORED))

    def test_wrong_input_has_its_code(self):
        tool.write(self.folder, "short.txt", "ROMEO:")
        tool.write(self.folder, "bad.txt", b"\xff\xfe" * 300)
        tool.write(self.folder, "high.txt", "1 2 1024 3")
        tool.write(self.folder, "words.txt", "1 2 three")
        tool.write(self.folder, "minus.txt", "1 -2")
        tool.write(self.folder, "kept.npy", "precious")
        text = ["-f", "text.txt", "-c", "32"]
        jobs = [
            ([], 64, ["-f TEXT", "--ids FILE"]),
            (["-f", "text.txt", "--ids", "short.txt"], 64, ["not as both"]),
            (["-f", "nowhere.txt"], 66, ["nowhere.txt"]),
            (["-f", "short.txt", "-c", "32"], 65, ["short.txt", "window"]),
            (["-f", "bad.txt"], 65, ["bad.txt"]),
            (["--ids", "high.txt"], 65, ["high.txt", "number 3", "1024"]),
            (["--ids", "words.txt"], 65, ["words.txt", "byte 4"]),
            (["--ids", "minus.txt"], 65, ["minus.txt", "byte 2"]),
            (["-f", "text.txt", "-c", "257"], 64, ["256"]),
            (["-f", "text.txt", "-c", "8"], 64, ["16"]),
            (text + ["--stride", "33"], 64, ["--stride 33"]),
            (text + ["--windows", "1", "--stride", "1"], 65, ["one token"]),
            (text + ["--against", "nowhere.h5"], 66, ["nowhere.h5"]),
            (text + ["--logits-file", "x.npy"], 64, ["--against"]),
            (text + ["--against", self.f32, "--logits-file", "kept.npy"], 73,
             ["kept.npy"]),
            (text + ["--against", self.f32, "--logits-file",
                     "nowhere/x.npy"], 73, ["nowhere/x.npy"]),
        ]
        for np in (0, 3):
            ended = tool.together(lambda job: tool.run(
                "eval", *job[0], np=np, cwd=self.folder), jobs)
            for job, done in zip(jobs, ended):
                with self.subTest(job, np=np):
                    self.check_error(done, job[1], job[2])
        with open(os.path.join(self.folder, "kept.npy"), "rb") as f:
            self.assertEqual(f.read(), b"precious")

    def other_model(self, name, rows=0, bos=False, **config):
        """The bundled model with other numbers in config.json, so many more
        rows of zeros in its embedding, and a BOS or none."""
        source = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
        folder = tool.make_folder("eval_" + name)
        shutil.copytree(source, folder, dirs_exist_ok=True)
        path = os.path.join(folder, "config.json")
        with open(path, encoding="utf-8") as f:
            config = {**json.load(f), **config}
        tool.write(folder, "config.json", json.dumps(config))
        if bos:
            path = os.path.join(folder, "tokenizer.json")
            with open(path, encoding="utf-8") as f:
                tokenizer = json.load(f)
            name_of_0 = tokenizer["added_tokens"][0]["content"]
            tokenizer["post_processor"] = {
                "type": "TemplateProcessing", "pair": [], "single": [
                    {"SpecialToken": {"id": name_of_0, "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {name_of_0: {
                    "id": name_of_0, "ids": [0], "tokens": [name_of_0]}}}
            tool.write(folder, "tokenizer.json", json.dumps(tokenizer))
        with open(os.path.join(source, "model.safetensors"), "rb") as f:
            data = f.read()
        start = 8 + int.from_bytes(data[:8], "little")
        header, body = json.loads(data[8:start]), b""
        for tensor in header.values():
            if "shape" not in tensor:
                continue
            begin, end = tensor["data_offsets"]
            values = data[start + begin:start + end]
            if tensor["shape"][0] == 1024:
                values += bytes(len(values) // 1024 * rows)
                tensor["shape"][0] += rows
            tensor["data_offsets"] = [len(body), len(body) + len(values)]
            body += values
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        tool.write(folder, "model.safetensors",
                   len(head).to_bytes(8, "little") + head + body)
        path = os.path.join(self.folder, name + ".h5")
        self.run_well("import", folder, "-o", path)
        return path

    def test_another_model_is_refused(self):
        for path, words in (
                (self.other_model("wide", 16, vocab_size=1040),
                 ["vocabulary", "1040", "1024"]),
                (self.other_model("short", max_position_embeddings=128),
                 ["another shape"])):
            done = tool.run("eval", "-f", "text.txt", "-c", "32", "--against",
                            path, np=2, cwd=self.folder)
            self.check_error(done, 65, [path] + words)


if __name__ == "__main__":
    tool.main()
