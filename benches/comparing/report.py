"""What was measured, as Markdown."""
import statistics
import sys

# Of others' work on the machine, in cores: rounds with more are left out where enough quieter ones are there.
NOISE = 0.6
ENOUGH = 3


class Report:
    def __init__(self):
        self.goals = []
        self.tables = []
        self.failures = []
        self.noise = []

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def fail(self, row, who, error):
        self.failures.append((row, who, str(error)))
        self.say(f"FAILED {row}, {who}: {error}")

    def judge(self, row, what, who, value, limit, unit, least=False, places=2):
        """A goal and what came of it. Judged is the figure as it is printed."""
        shown = round(value, places)
        missed = limit - shown if least else shown - limit
        goal = f"{'≥' if least else '≤'} {limit:,.{places}f} {unit}".strip()
        figure = f"{shown:,.{places}f} {unit}".strip()
        percent = max(1, round(100 * missed / limit))
        verdict = "met" if missed <= 0 else f"missed by {percent} %"
        self.goals.append((row, what, who, goal, figure, verdict))
        self.say(f"  {row}, {who}: {what} {figure} ({goal}): {verdict}")

    def table(self, row, title, heads, lines):
        self.tables.append((row, title, heads, lines))

    def markdown(self, about, notes):
        out = [about, "", *grid(("row", "what", "of", "goal", "figure", ""), self.goals, "lllrrl")]
        for row, title, heads, lines in self.tables:
            out += ["", f"**{row}**: {title}", "", *grid(heads, lines, "l" + "r" * (len(heads) - 1))]
        if notes:
            out += ["", *notes]
        for row, who, error in self.failures:
            out += ["", f"**FAILED** {row}, {who}: {error}"]
        return "\n".join(out)


def grid(heads, lines, sides):
    cells = lambda line: "| " + " | ".join(str(cell) for cell in line) + " |"
    rule = "|" + "|".join("---:" if side == "r" else "---" for side in sides) + "|"
    return [cells(heads), rule, *map(cells, lines)]


def quiet(pairs):
    """Those of these tuples of samples that nobody disturbed, if they are enough, else all."""
    calm = [pair for pair in pairs if all(sample.get("others", 0) <= NOISE for sample in pair)]
    return calm if len(calm) >= ENOUGH else pairs


def ratios(samples, base, key):
    """Round by round, for what is neighbours in time shares its noise: lower quartile, median and upper quartile."""
    both = [(one, other) for one, other in zip(samples, base) if one and other]
    found = [one[key] / other[key] for one, other in quiet(both) if other[key]]
    return quartiles(found)


def quartiles(values):
    if len(values) < 2:
        return (values or [float("nan")]) * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def lowest(samples, key):
    """Noise only ever adds to a time of work: the lower quartile."""
    return quartiles([sample[key] for (sample,) in quiet([(sample,) for sample in samples if sample])])[0]


def middle(samples, key):
    return quartiles([sample[key] for (sample,) in quiet([(sample,) for sample in samples if sample])])[1]
