"""What int8 and int4 take from the bundled model stays near or below what Q8_0
and Q4_0 of GGUF files take, and channels with large gains do not change that.

bench/accuracy.py renders those formats; its column kl_emulated for the text
that is scored here (a scene by the model itself, the same on every machine as
f32 gives the same bits) is where the limits come from.
"""
import json
import os
import shutil
import unittest

import tool
from tool import Case, numpy

SOURCE = os.path.join(tool.HERE, "..", "..", "models", "shakespeare")
SPEAKERS = ("ROMEO", "JULIET", "NURSE", "DUKE", "LADY", "KING", "FIRST LORD",
            "GLOUCESTER", "MERCUTIO", "CLOWN", "PORTIA", "HAMLET", "ANTONY",
            "PROSPERO", "WARWICK", "SERVANT")
# KL in nats of Q8_0, of Q4_0 with head and v in Q8_0, and of all in Q4_0.
Q8_0, Q4_0_MIXED, Q4_0 = 0.000196, 0.01005, 0.0202
# int8 (8.33 bits a weight, 1.0 of Q8_0 when measured) has room for the bits of
# other kernels; in blocks of 64 throughout (8.25 bits) it is 1.3 times Q8_0.
LIMITS = {("int8",): 1.2 * Q8_0, ("int8", "--keep", "none"): 1.4 * Q8_0,
          ("int8:32",): Q8_0,
          ("int4",): 0.9 * Q4_0_MIXED, ("int4", "--keep", "none"): 0.9 * Q4_0}


class Accuracy(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tool.make_folder("accuracy")
        cls.f32 = cls.path("f32.h5")
        cls.call("import", SOURCE, "-o", cls.f32, "--dtype", "f32")
        tool.write(cls.folder, "speakers.txt",
                   "".join(f"{name}:\n" for name in SPEAKERS))
        said = cls.call("run", "-m", cls.f32, "--prompts", "speakers.txt",
                        "-n", "240", "--temp", "1", "--top-k", "0", "--top-p",
                        "1", "--min-p", "0", "-s", "1", "--json", "--metrics",
                        "off")
        tool.write(cls.folder, "scene.txt", "\n".join(
            r["prompt"] + r["text"] for r in json.loads(said.text)["results"]))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def call(cls, *args):
        done = tool.run(*args, cwd=cls.folder)
        assert done.code == 0, done
        return done

    def divergence(self, original, *dtype):
        quantised = self.path("quantised.h5")
        self.run_well("quantize", original, "-o", quantised, "--dtype", *dtype)
        said = self.run_well("eval", "-m", quantised, "--against", original,
                             "-f", "scene.txt", "-c", "256", "--json",
                             cwd=self.folder)
        os.remove(quantised)
        against = json.loads(said.text)["against"]
        self.assertGreater(against["kl"]["mean"], 0.0)
        return against["kl"]["mean"]

    def test_every_mix_stays_below_its_limit(self):
        for dtype, limit in LIMITS.items():
            with self.subTest(dtype):
                kl = self.divergence(self.f32, *dtype)
                print(f"{' '.join(dtype)}: KL {kl:.3g}, limit {limit:.3g}")
                self.assertLess(kl, limit)

    @unittest.skipUnless(numpy, "no numpy")
    def test_channels_with_large_gains_cost_little(self):
        """The same function: four gains of every norm are 32 times as large,
        and the columns behind them 32 times smaller."""
        loud = self.path("loud.h5")
        self.run_well("import", self.loud_model(), "-o", loud, "--dtype",
                      "f32")
        for dtype in (("int8",), ("int4",)):
            with self.subTest(dtype):
                kl = self.divergence(loud, *dtype)
                print(f"loud, {' '.join(dtype)}: KL {kl:.3g}")
                self.assertLess(kl, LIMITS[dtype])

    def loud_model(self):
        folder = tool.make_folder("accuracy", "loud")
        shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
        path = os.path.join(folder, "model.safetensors")
        with open(path, "rb") as f:
            data = bytearray(f.read())
        start = 8 + int.from_bytes(data[:8], "little")
        exponent = 5 << 7  # of bf16
        for name, tensor in json.loads(data[8:start]).items():
            is_gain = "layernorm" in name
            if not is_gain and not any(part in name for part in (
                    "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")):
                continue
            begin, end = (start + at for at in tensor["data_offsets"])
            bits = numpy.frombuffer(data[begin:end], "<u2").copy()
            rows = bits.reshape(-1, tensor["shape"][-1])
            for channel in (3, 40, 41, 100):
                some = rows[:, channel]
                some[(some >> 7 & 255) > 5] += numpy.uint16(
                    exponent if is_gain else 65536 - exponent)
            data[begin:end] = rows.tobytes()
        with open(path, "wb") as f:
            f.write(data)
        return folder


if __name__ == "__main__":
    tool.main()
