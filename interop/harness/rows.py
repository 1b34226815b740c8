"""The rows of the table: a client, what it performs and how often, and what came of it on each lane."""

import time
from dataclasses import dataclass, field

import catalog
import scenarios
import stage
import tools

# The browser that hybridge is for has to get through every time.
PERSISTENT = "phantomjs-1.9"
PERSISTENT_RUNS = 100


@dataclass(frozen=True)
class Row:
    client: catalog.Client
    label: str
    plays: tuple
    runs: int

    def skip(self, reason):
        return Cell(skipped=len(self.plays), notes=[reason])

    def fail(self, reason):
        return Cell(failed=len(self.plays), notes=[reason])


@dataclass
class Cell:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    notes: list = field(default_factory=list)

    def __str__(self):
        if self.skipped:
            return f"{self.skipped} skipped"
        if self.failed:
            return f"{self.failed} FAILED" + (f", {self.passed} ok" if self.passed else "")
        return f"{self.passed} ok {self.seconds:5.1f} s"


def choose(beginnings, dialect, runs):
    """The rows whose client's name begins so and speaks this dialect; None is any."""
    for client in catalog.CLIENTS:
        if beginnings and not client.name.startswith(tuple(beginnings)):
            continue
        if dialect and client.dialect != dialect:
            continue
        yield Row(client, client.name, scenarios.ALL, runs)
        if client.name == PERSISTENT:
            # Without the farewell: this browser notices a server's close only when TCP ends, after a second or two.
            label = f"{client.name} x{PERSISTENT_RUNS}"
            yield Row(client, label, (scenarios.TALK, scenarios.CHAT), PERSISTENT_RUNS)


def perform(row, lanes, runner, pool):
    """Runs a row on all lanes at once; returns the program's name and version, and a cell for each lane."""
    client = row.client
    try:
        program = client.install()
    except tools.Missing as reason:
        return client.title, [row.skip(str(reason)) for _ in lanes]
    except tools.Broken as reason:
        return client.title, [row.fail(str(reason)) for _ in lanes]
    cells = pool.map(lambda lane: _perform_on(row, program, lane, runner), lanes)
    return f"{client.title} {program.version}", list(cells)


def _perform_on(row, program, lane, runner):
    if isinstance(lane, stage.ClosedLane):
        return row.skip(lane.reason) if lane.is_missing else row.fail(lane.reason)
    if row.client.extension and "extensions" in lane.blind:
        return row.skip(f"{lane.title} knows no extensions")
    if lane.trouble():
        return row.fail(lane.trouble())

    started = time.monotonic()
    for number in range(1, row.runs + 1):
        differences, folder = runner.run(row.client, program, lane, row.plays)
        failed = {name: found for name, found in differences.items() if found}
        if failed:
            break
    cell = Cell(passed=len(row.plays) - len(failed), failed=len(failed), seconds=time.monotonic() - started)

    for name, found in failed.items():
        cell.notes.append(f"{name}, in run {number} of {row.runs}:" if row.runs > 1 else f"{name}:")
        cell.notes += [f"  {difference}" for difference in found]
    if lane.trouble():
        cell.notes.append(lane.trouble())
    if folder.exists():
        cell.notes.append(f"see {folder.relative_to(tools.ROOT)}")
    return cell
