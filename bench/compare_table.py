"""The CSV of compare_llama_cpp.py, which grows row by row and is read again to
go on, and the table for people beside it.  request_table.py is its kin."""
import csv
import os
import sys

COLUMNS = ("case shape dtype threads test sequences rival rival_flags rounds "
           "ours_tokens_sec rival_tokens_sec ratio ratio_low ratio_high "
           "ours_flop_percent ours_read_percent ours_gemm_percent load1 "
           "others_percent date").split()


class Table:
    columns = COLUMNS

    def __init__(self, path, provenance):
        self.path = path
        self.rows = []
        is_new = not os.path.exists(path)
        if not is_new:
            self.read()
        # Who goes on says so: another build may have measured what is above.
        with open(path, "a") as f:
            f.writelines(f"# {line}\n" for line in provenance)
            if is_new:
                self.writer(f).writeheader()

    def writer(self, f):
        return csv.DictWriter(f, self.columns, lineterminator="\n")

    def read(self):
        with open(self.path, newline="") as f:
            lines = [line for line in f
                     if not line.startswith(("#", "case,"))]
        for row in csv.DictReader(lines, self.columns, strict=True):
            if None in row or None in row.values():
                sys.exit(f"{self.path}: a row is not whole: remove the line "
                         f"of {row['case']}, or give another --output")
            self.rows.append(row)

    def has(self, case, rival):
        return any((row["case"], row["rival"]) == (case, rival)
                   for row in self.rows)

    def add(self, *rows):
        self.rows += [{name: str(value) for name, value in row.items()}
                      for row in rows]
        with open(self.path, "a") as f:
            self.writer(f).writerows(rows)
        self.write_markdown()

    def write_markdown(self):
        """One line a case, all rivals in it."""
        names = list(dict.fromkeys(row["rival"] for row in self.rows))
        head = ["case", "ours t/s", "flop %", "read %", "gemm %"]
        for name in names:
            head += [f"{name} t/s", "ratio", "flags"]
        lines = [head + ["others %"], ["---"] * (len(head) + 1)]
        for case in dict.fromkeys(row["case"] for row in self.rows):
            rows = {row["rival"]: row for row in self.rows
                    if row["case"] == case}
            any_row = next(iter(rows.values()))
            cells = [case, any_row["ours_tokens_sec"],
                     any_row["ours_flop_percent"],
                     any_row["ours_read_percent"],
                     any_row["ours_gemm_percent"]]
            for name in names:
                row = rows.get(name)
                cells += ([row["rival_tokens_sec"], row["ratio"],
                           row["rival_flags"]] if row else ["", "", ""])
            others = max(float(row["others_percent"])
                         for row in rows.values())
            lines.append(cells + [f"{others:.1f}"])
        self.write_cells(lines)

    def write_cells(self, lines):
        path = os.path.splitext(self.path)[0] + ".md"
        with open(path, "w") as f:
            f.writelines(f"| {' | '.join(cells)} |\n" for cells in lines)
