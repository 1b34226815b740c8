"""The corpus of fixtures/ at servers of other authors: `hybridge replay` plays the client's part of every play at each
bridge, behind which all is echoed. Where a server differs, the play notes so and says why; any other difference, and a
note that no longer holds, is a failure."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bridges
import catalog
import rows
import stage
import tools
from processes import Child, dying_with_parent

FOLDERS = {
    "75": ("hixie-75",),
    "76": ("hixie-76",),
    "7": ("v7",),
    "8": ("v8",),
    "13": ("v13", "refused"),
}
REPLAY_SECONDS = 600
PATIENCE_SECONDS = 2  # a server that hangs where hybridge answers takes so long each time
SUMMARY = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) differ as noted in them)?(?:, (\d+) skipped)?")


def choose(only):
    return [bridge for bridge in bridges.BRIDGES if not only or any(label(bridge).startswith(name) for name in only)]


def label(bridge):
    return f"replay-{peer(bridge)}"


def peer(bridge):
    """What notes in plays call it."""
    return bridge.name.removeprefix("bridge-")


def run(chosen, hybridge, folder, totals):
    """Performs and prints the rows, and adds to the totals. Plays that a server cannot be asked are not counted."""
    print(f"\n{'hybridge replay':<32}{'server':<36}{'differ as noted':<18}not for it")
    with ThreadPoolExecutor(len(chosen)) as pool:
        for bridge, row in zip(chosen, pool.map(lambda bridge: _perform(bridge, hybridge, folder), chosen)):
            cell, title, differ, unfit = row
            print(f"{label(bridge):<32}{title:<36}{differ:<18}{unfit:<12}{cell}")
            for note in cell.notes:
                print(f"    {note}")
            for kind in totals:
                totals[kind] += getattr(cell, kind)


def _perform(bridge, hybridge, folder):
    started = time.monotonic()
    try:
        title = f"{bridge.title} {bridge.install().version}"
        echo = _Echo(folder, peer(bridge))
    except tools.Missing as reason:
        return rows.Cell(skipped=1, notes=[str(reason)]), bridge.title, "", ""
    except (tools.Broken, stage.CannotStart) as reason:
        return rows.Cell(failed=1, notes=[str(reason)]), bridge.title, "", ""
    try:
        running = bridges.Running(bridge, echo.port, folder)
    except stage.CannotStart as reason:
        echo.stop()
        return rows.Cell(failed=1, notes=[str(reason)]), title, "", ""
    try:
        plays = [f"fixtures/{name}" for dialect in bridge.dialects for name in FOLDERS[dialect]]
        command = (hybridge, "replay", *plays, "--against", running.address, "--echo", "--peer", peer(bridge),
                   "--patience", str(PATIENCE_SECONDS))
        done = subprocess.run(dying_with_parent(command), cwd=tools.ROOT, capture_output=True, text=True,
                              timeout=REPLAY_SECONDS)
    except subprocess.TimeoutExpired:
        return rows.Cell(failed=1, notes=[f"replay took more than {REPLAY_SECONDS} s"]), title, "", ""
    finally:
        running.stop()
        echo.stop()
    log = Path(folder) / f"{label(bridge)}.log"
    log.write_text(done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    found = SUMMARY.fullmatch(lines[-1]) if lines else None
    if not found:
        return rows.Cell(failed=1, notes=[f"replay said no summary; see {log.relative_to(tools.ROOT)}"]), title, "", ""
    passed, failed, differ, unfit = (int(number or 0) for number in found.groups())
    cell = rows.Cell(passed=passed, failed=failed, seconds=time.monotonic() - started)
    cell.notes += [line for line in lines if line.startswith("failed ")]
    if failed:
        cell.notes.append(f"see {log.relative_to(tools.ROOT)}")
    return cell, title, str(differ), str(unfit)


class _Echo:
    """The upstream behind a bridge."""

    def __init__(self, folder, name):
        tools.npm_version("ws")
        command = (tools.node(), tools.INTEROP / "reference" / "echo.js")
        self._child = Child(command, Path(folder) / f"echo-{name}.stderr", catalog.NODE_PATH)
        self._child.wait_for(self._announced, stage.START_SECONDS)
        self.port = self._announced()
        if not self.port:
            raise stage.CannotStart(f"the echo announces no port: {self._child.complaint()}")

    def _announced(self):
        for _, line in self._child.lines:
            if found := re.fullmatch(r"listening on (\d+)", line):
                return int(found[1])
        return None

    def stop(self):
        self._child.kill()
