"""What the tests of the scripts in bench/ share: stand-ins for the programs
that those start, and the table that they leave behind."""
import csv
import os

import tool

BENCH = os.path.join(os.path.dirname(os.path.dirname(tool.HERE)), "bench")


def stand_in(path, text, **facts):
    """A program whose text may use the facts.  @return its path."""
    head, _, rest = text.partition("\n")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(head + "\n" + "".join(
            f"{key} = {value!r}\n" for key, value in facts.items()) + rest)
    os.chmod(path, 0o755)
    return path


def rows(path):
    """The rows of a CSV, without its remarks."""
    with open(path) as f:
        lines = [line for line in f if not line.startswith("#")]
    return list(csv.DictReader(lines, strict=True))


def remarks(path):
    """What stands above the rows: where they come from."""
    with open(path) as f:
        return [line[2:].rstrip() for line in f if line.startswith("# ")]
