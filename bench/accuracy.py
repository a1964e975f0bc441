#!/usr/bin/env python3
"""How far do int8 and int4 take a model from itself, and how far do the Q8_0
and Q4_0 of GGUF files?

    accuracy.py TOOL FOLDER [--text FILE | --ids FILE] [-c 256] [--csv FILE]

FOLDER is a checkpoint (Llama or Qwen2, one safetensors file); without a text
random ids are scored, which is what a model of random weights deserves.

Every format meets its counterpart at (nearly) equal bits.  Prints a table of
mean KL(original || format) in nats over the second halves of all windows, in
three ways:
  weights   only the weights are rounded: dequantised, imported as f32, and
            scored by `eval`.  Leaves out that either side rounds activations,
            so it says least about blocks of 64.
  emulated  NumPy's forward pass of the same weights with activations rounded
            before every product, in blocks of 32 (Q8_0, as GGUF programs do
            for both types) or of the format's own size.  The KV cache is
            exact.  The column to compare by; same likeliest token and
            perplexity are of it.
  program   what `eval` says of the quantised file itself; there is no such
            thing for the rivals.  Includes its bf16 KV cache.
A ratio below 1 is in our favour.  --activations GROUP,... rounds only those
groups' activations in "emulated", to see where they cost.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import number_formats as formats
import numpy_llama
import weights_file

GROUPS = ("embed", "head", "qk", "v", "out", "up", "down")


class Theirs:
    """Q8_0 for the groups in `wide`, else `narrow`."""

    def __init__(self, name, narrow, wide=()):
        self.name, self.narrow, self.wide = name, narrow, wide

    def kind(self, group):
        return "q8_0" if group in self.wide else self.narrow

    def bits(self, group):
        return {"q8_0": 8.5, "q4_0": 4.5}[self.kind(group)]

    def rounding(self, group):
        return formats.q8_0

    def weights(self, bench):
        return {name: getattr(formats, self.kind(group))(x) if group else x
                for name, x, group in bench.matrices()}


class Ours:
    """What `quantize` makes: int8 in blocks of `block`, but of 32 in the
    groups `small`; int4 keeps the groups `wide` at int8."""

    def __init__(self, name, arguments, block, wide=(), small=()):
        self.name, self.arguments = name, arguments
        self.block, self.wide, self.small = block, wide, small
        self.file = None

    def is_int8(self, group):
        return self.arguments[0] != "int4" or group in self.wide

    def block_of(self, group):
        is_large = self.is_int8(group) and group not in self.small
        return self.block if is_large else 32

    def bits(self, group):
        return (8 if self.is_int8(group) else 4) + 16 / self.block_of(group)

    def rounding(self, group):
        return formats.activations_q8(self.block_of(group))

    def weights(self, bench):
        self.file = bench.path(self.name + ".h5")
        bench.call("quantize", bench.original, "-o", self.file, "--dtype",
                   *self.arguments)
        return weights_file.load(self.file)


# A rival and what is held against it.
MATCHES = (
    (Theirs("Q8_0", "q8_0"),
     (Ours("int8", ["int8"], 64, small=("head", "down")),
      Ours("int8 --keep none", ["int8", "--keep", "none"], 64),
      Ours("int8:32", ["int8:32"], 32))),
    (Theirs("Q4_0, head and v Q8_0", "q4_0", ("head", "v")),
     (Ours("int4", ["int4"], 64, ("head", "v")),)),
    (Theirs("Q4_0", "q4_0"),
     (Ours("int4 --keep none", ["int4", "--keep", "none"], 32),)),
)


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Bench:
    """A model, a text, and where files go."""

    def __init__(self, a, scratch):
        self.a, self.scratch = a, scratch
        self.config, self.tensors = numpy_llama.load(a.folder)
        self.original = self.path("original.h5")
        self.call("import", a.folder, "-o", self.original, "--dtype", "f32")
        self.text = ["--ids", a.ids] if a.ids else ["-f", a.text] \
            if a.text else ["--ids", self.random_ids()]
        self.ids = self.read_ids()
        self.base = [log_softmax(x) for x in self.logits(
            self.tensors, lambda group: formats.exact)]

    def path(self, name):
        return os.path.join(self.scratch, name.replace(" ", "_"))

    def call(self, *arguments):
        env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        done = subprocess.run([self.a.tool, *arguments], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd=self.scratch)
        if done.returncode != 0:
            sys.exit(f"{' '.join(arguments)}:\n{done.stderr.decode()}")
        return done.stdout.decode()

    def random_ids(self):
        ids = np.random.default_rng(1).integers(
            self.config["vocab_size"], size=self.a.windows * self.a.c)
        np.savetxt(self.path("ids.txt"), ids, "%d")
        return self.path("ids.txt")

    def read_ids(self):
        """(windows, c)"""
        if self.call("tokenize", "-m", self.original, "a") != \
                self.call("tokenize", "-m", self.original, "--special", "a"):
            sys.exit(f"{self.a.folder}: its tokenizer puts ids in front of "
                     "every window, which is not done here")
        if self.text[0] == "--ids":
            with open(self.text[1], encoding="ascii") as f:
                ids = f.read().replace(",", " ").split()
        else:
            with open(self.text[1], encoding="utf-8") as f:
                ids = self.call("tokenize", "-m", self.original,
                                f.read()).split(",")
        n = min(len(ids) // self.a.c, self.a.windows)
        if n == 0:
            sys.exit(f"{self.text[1]}: fills no window of {self.a.c}")
        return np.array(ids[:n * self.a.c], int).reshape(n, -1)

    def matrices(self):
        for name, x in self.tensors.items():
            yield name, x, numpy_llama.group_of(name, self.config)

    def logits(self, weights, rounding):
        """Of every window the rows that score its second half."""
        kept = self.a.activations
        of_group = {g: rounding(g) if not kept or g in kept else formats.exact
                    for g in GROUPS}
        model = numpy_llama.Llama(self.config, weights, of_group)
        for ids in self.ids:
            yield model.logits(ids)[self.a.c // 2:-1]

    def emulate(self, weights, rounding):
        kl, same, nll = [], [], []
        with np.errstate(over="ignore"):
            found = [log_softmax(x) for x in self.logits(weights, rounding)]
        for p, q, ids in zip(self.base, found, self.ids):
            kl.append((np.exp(p) * (p - q)).sum(-1))
            same.append(p.argmax(-1) == q.argmax(-1))
            target = ids[self.a.c // 2 + 1:]
            nll.append(-q[np.arange(len(target)), target])
        kl = np.concatenate(kl)
        return {"tokens": len(kl), "kl_emulated": kl.mean(),
                "kl_error": kl.std(ddof=1) / len(kl) ** 0.5,
                "same_top": np.mean(same), "perplexity": np.exp(np.mean(nll))}

    def eval(self, model):
        said = json.loads(self.call(
            "eval", "-m", model, "--against", self.original, *self.text, "-c",
            str(self.a.c), "--windows", str(self.a.windows), "--json"))
        return said["against"]["kl"]["mean"]

    def bits(self, fmt):
        sizes = {g: 0 for g in GROUPS}
        for _, x, group in self.matrices():
            if group:
                sizes[group] += x.size
        return sum(n * fmt.bits(g) for g, n in sizes.items()) / \
            sum(sizes.values())

    def measure(self, fmt):
        weights = fmt.weights(self)
        folder, plain = self.path(fmt.name), self.path(fmt.name + "-f32.h5")
        numpy_llama.save(folder, self.a.folder, weights)
        self.call("import", folder, "-o", plain, "--dtype", "f32")
        row = {"format": fmt.name, "bits": self.bits(fmt),
               "kl_weights": self.eval(plain),
               **self.emulate(weights, fmt.rounding)}
        if isinstance(fmt, Ours):
            row["kl_program"] = self.eval(fmt.file)
        return row

    def rows(self):
        for theirs, ours in MATCHES:
            rival = self.measure(theirs)
            yield rival
            for fmt in ours:
                row = self.measure(fmt)
                for name in ("kl_weights", "kl_emulated"):
                    row[name.replace("kl", "ratio")] = row[name] / rival[name]
                row["ratio_program"] = row["kl_program"] / rival["kl_emulated"]
                yield row


COLUMNS = ("format", "bits", "kl_weights", "kl_emulated", "kl_program",
           "kl_error", "same_top", "perplexity", "ratio_weights",
           "ratio_emulated", "ratio_program", "tokens")


def cell(x):
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def main():
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("tool")
    p.add_argument("folder")
    p.add_argument("--text")
    p.add_argument("--ids")
    p.add_argument("-c", type=int, default=256)
    p.add_argument("--windows", type=int, default=40)
    p.add_argument("--activations", type=lambda s: s.split(","))
    p.add_argument("--csv")
    a = p.parse_args()
    for name in ("tool", "folder", "text", "ids"):
        if getattr(a, name):
            setattr(a, name, os.path.abspath(getattr(a, name)))
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for row in Bench(a, scratch).rows():
            rows.append(row)
            print("| " + " | ".join(cell(row.get(c, "")) for c in COLUMNS)
                  + " |", flush=True)
    if a.csv:
        with open(a.csv, "w", encoding="utf-8", newline="") as f:
            out = csv.DictWriter(f, COLUMNS)
            out.writeheader()
            out.writerows(rows)


if __name__ == "__main__":
    main()
