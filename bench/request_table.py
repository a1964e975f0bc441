"""The CSV of requests.py: a row is one run of one side; what they come to in
the table for people, and against the gates."""
import statistics
from dataclasses import dataclass

import compare_table

OURS, PLAIN = "noodle-mpi", "noodle-mpi-no-reuse"
# (sides of which the fastest counts, how many times as fast we are to be)
GATES = ((("llama.cpp", "llama-server"), 2.5), (("ik_llama.cpp",), 1.3),
         (("llama.cpp-rpc",), 4.0))
QUIET_PERCENT = 5  # of all cores
TRY = 0  # the round of short runs that choose among flags
HEAD = ("case", "side", "flags", "rounds", "tokens/s", "lowest", "highest",
        "all of it s", "measured %", "TTFT s", "TTFT 95 % s", "reused tokens",
        "noodle-mpi is faster by", "others %")


@dataclass
class Standing:
    """A side in a case: its rounds with the flags that were best in them."""
    flags: str
    rows: list

    def rates(self):
        return [float(row["tokens_sec"]) for row in self.rows]

    def rate(self):
        return statistics.median(self.rates())

    def others_percent(self):
        return max(float(row["others_percent"]) for row in self.rows)

    def median(self, column, digits):
        values = [float(row[column]) for row in self.rows if row[column]]
        return f"{statistics.median(values):.{digits}f}" if values else ""


@dataclass
class Ratio:
    """How many times as fast one is: by medians, and in single rounds."""
    middle: float
    low: float
    high: float

    def __str__(self):
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(one, other):
    other_rates = {row["round"]: float(row["tokens_sec"])
                   for row in other.rows}
    each = [float(row["tokens_sec"]) / other_rates[row["round"]]
            for row in one.rows if row["round"] in other_rates]
    middle = one.rate() / other.rate()
    return Ratio(middle, min(each, default=middle),
                 max(each, default=middle))


def noise(*standings):
    """A remark, where these runs did not have the machine to themselves."""
    most = max(x.others_percent() for x in standings)
    return f", but others took {most:.0f} %" if most > QUIET_PERCENT else ""


class RequestTable(compare_table.Table):
    columns = ("case side round flags requests prompt_tokens new_tokens "
               "seconds tokens_sec measured_percent ttft_median_sec "
               "ttft_95_sec reused_tokens load1 others_percent date").split()

    def of(self, case, side):
        return [row for row in self.rows
                if (row["case"], row["side"]) == (case, side)]

    def has(self, case, side, turn):
        return any(row["round"] == str(turn) for row in self.of(case, side))

    def tried(self, case, side):
        """{flags: tokens/s} of the short runs."""
        return {row["flags"]: float(row["tokens_sec"])
                for row in self.of(case, side) if row["round"] == str(TRY)}

    def standing(self, case, side):
        """None: it has no round yet."""
        groups = {}
        for row in self.of(case, side):
            if row["round"] != str(TRY):
                groups.setdefault(row["flags"], []).append(row)
        return max((Standing(*group) for group in groups.items()),
                   key=Standing.rate, default=None)

    def standings(self, case):
        sides = dict.fromkeys(row["side"] for row in self.rows
                              if row["case"] == case)
        found = {side: self.standing(case, side) for side in sides}
        return {side: x for side, x in found.items() if x}

    def write_markdown(self):
        lines = [list(HEAD), ["---"] * len(HEAD)]
        for case in dict.fromkeys(row["case"] for row in self.rows):
            all_of_it = self.standings(case)
            ours = all_of_it.get(OURS)
            for side, x in all_of_it.items():
                rates = x.rates()
                lines.append([
                    case, side, x.flags, str(len(rates)), f"{x.rate():.1f}",
                    f"{min(rates):.1f}", f"{max(rates):.1f}",
                    x.median("seconds", 1), x.median("measured_percent", 1),
                    x.median("ttft_median_sec", 2),
                    x.median("ttft_95_sec", 2), x.median("reused_tokens", 0),
                    str(ratio(ours, x)) if ours and ours is not x else "",
                    f"{x.others_percent():.1f}"])
        self.write_cells(lines)

    def verdicts(self, case):
        """A line for each gate that there are rounds for."""
        found = self.standings(case)
        if OURS not in found:
            return []
        lines = []
        for sides, least in GATES:
            there = [side for side in sides if side in found]
            if not there:
                continue
            rival = max(there, key=lambda side: found[side].rate())
            r = ratio(found[OURS], found[rival])
            word = "met" if r.middle >= least else "MISSED"
            lines.append(f"{case}: {word}: at least {least:.1f} x {rival}: "
                         f"{r}{noise(found[OURS], found[rival])}")
        if PLAIN in found:
            r = ratio(found[OURS], found[PLAIN])
            lines.append(f"{case}: reuse of beginnings makes it {r} x as fast"
                         f"{noise(found[OURS], found[PLAIN])}")
        return lines
