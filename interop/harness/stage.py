"""Backends, the hybridge in front of each, and clients sent through them."""

import itertools
import json
import re
import shutil
import threading

import verdict
from processes import Child

START_SECONDS = 15
CONNECTION_SECONDS = 10
# From the moment the client is done until the backend has seen the end, too.
SETTLE_SECONDS = 5


class CannotStart(Exception):
    pass


class Backend:
    """A running backend and the records it writes, by connection."""

    def __init__(self, backend, program, log):
        self._records = {}
        self._taken = 0
        self._lock = threading.Lock()
        self._child = Child(program.command, log, program.env)
        if not self._child.wait_for(lambda: self._child.lines, START_SECONDS):
            raise CannotStart(f"the backend does not start: {self._child.complaint()}")
        self.address = f"127.0.0.1:{json.loads(self._child.lines[0][1])['port']}"

    def records(self, ident, seconds, event="close", count=1):
        """What it wrote about a connection, once it wrote so many of that event, or whatever there is after `seconds`."""

        def is_over():
            self._take()
            return sum(record["event"] == event for record in self._records.get(ident, [])) >= count

        self._child.wait_for(is_over, seconds)
        return self._records.get(ident, [])

    def _take(self):
        with self._lock:
            for _, line in self._child.lines[self._taken :]:
                record = json.loads(line)
                self._records.setdefault(record.get("id"), []).append(record)
                self._taken += 1

    def trouble(self):
        return None if self._child.is_running() else f"the backend has died: {self._child.complaint()}"

    def stop(self):
        self._child.kill()


class Hybridge:
    """A running `hybridge serve`, on a port of its own choice."""

    def __init__(self, binary, upstream, log):
        self._child = Child([binary, "serve", "--listen", "127.0.0.1:0", "--upstream", f"ws://{upstream}"], log)
        pattern = re.compile(r"listening on (127\.0\.0\.1:[1-9]\d*)")

        def announced():
            return next((found for _, line in self._child.lines if (found := pattern.search(line))), None)

        found = self._child.wait_for(announced, START_SECONDS)
        if not found:
            raise CannotStart(f"hybridge announces no listener: {self._child.complaint()}")
        self.address = found[1]

    def trouble(self):
        return None if self._child.is_running() else f"hybridge has died: {self._child.complaint()}"

    def stop(self):
        self._child.kill()


class Lane:
    """A backend, and in front of it what clients dial: hybridge, or without one the backend itself."""

    def __init__(self, backend, program, hybridge, folder):
        """`hybridge` is its binary, or a function that puts something else before a backend's address."""
        self.name = backend.name
        self.blind = backend.blind
        self.title = f"{backend.title} {program.version}"
        self.backend = Backend(backend, program, folder / f"backend-{backend.name}.stderr")
        self._servers = [self.backend]
        self.address = self.backend.address
        if callable(hybridge):
            front = hybridge(self.backend.address)
            self._servers.append(front)
            self.address = front.address
        elif hybridge:
            front = Hybridge(hybridge, self.backend.address, folder / f"hybridge-{backend.name}.stderr")
            self._servers.append(front)
            self.address = front.address

    def trouble(self):
        return next(filter(None, (server.trouble() for server in self._servers)), None)

    def stop(self):
        for server in self._servers:
            server.stop()


class ClosedLane:
    """A backend that is not there, and why: the machine cannot have it, or it should have worked and did not."""

    def __init__(self, backend, reason, is_missing):
        self.name = backend.name
        self.title = backend.title
        self.reason = reason
        self.is_missing = is_missing

    def stop(self):
        pass


class Runner:
    """Sends clients through lanes. What was said and heard stays in a folder of its own where something failed."""

    def __init__(self, folder, keep_all):
        self._folder = folder
        self._keep_all = keep_all
        self._numbers = itertools.count(1)

    def run(self, client, program, lane, plays, more=(), host=None):
        """One process of the client, a connection for each scenario; returns their differences by name, and the folder.

        `more` are further lines for every plan; `host` is what the client calls the server if not by its address.
        """
        number = next(self._numbers)
        folder = self._folder / f"{number}-{client.name}-{lane.name}"
        folder.mkdir()
        idents = {scenario.name: f"{number}-{scenario.name}" for scenario in plays}
        plans = [folder / f"{scenario.name}.plan" for scenario in plays]
        paths = []
        for scenario, plan in zip(plays, plans):
            path = f"/{scenario.behaviour}/{idents[scenario.name]}?client={client.name}"
            plan.write_text(scenario.plan(client, f"ws://{lane.address}{path}") + "".join(f"{line}\n" for line in more))
            paths.append(path if client.query else path.split("?")[0])

        child = Child([*program.command, *plans], folder / "stderr", program.env)
        exit_code = child.finish(CONNECTION_SECONDS * len(plays))
        (folder / "stdout").write_text("".join(f"{line}\n" for _, line in child.lines))

        results = {}
        spoken = itertools.chain(_by_connection(child.lines), itertools.repeat([]))
        for scenario, path, lines in zip(plays, paths, spoken):
            # Who never got in leaves no record to wait for.
            records = lane.backend.records(idents[scenario.name], SETTLE_SECONDS if lines else 0)
            found = verdict.judge(client, scenario, path, host or lane.address, lines, records, lane.blind)
            if found and exit_code != 0:
                how = "did not end in time" if exit_code is None else f"ended with exit code {exit_code}"
                found.append(f"client: its process {how}: {child.complaint()}")
            results[scenario.name] = found
        if not any(results.values()) and not self._keep_all:
            shutil.rmtree(folder)
        return results, folder


def _by_connection(lines):
    """A driver's connections follow one another, and each ends with a line that says so."""
    connection = []
    for time_and_line in lines:
        connection.append(time_and_line)
        if time_and_line[1].startswith(("closed", "failed")):
            yield connection
            connection = []
    if connection:
        yield connection
