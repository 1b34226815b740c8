"""Children that never outlive the run: each leads a process group of its own, which is killed at the end."""

import atexit
import os
import queue
import re
import signal
import subprocess
import sys
import threading

START_SECONDS = 20

_living = set()
_guard = threading.Lock()
_closing = threading.Event()


class CannotStart(Exception):
    pass


def kill_all_at_exit():
    atexit.register(kill_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


def kill_all():
    """No child lives after this, and none is started."""
    _closing.set()
    with _guard:
        for child in list(_living):
            child.kill()


class Child:
    """A program; what it prints goes to a file, `name`.log in `folder`."""

    def __init__(self, name, command, folder, environment=None):
        self.log = folder / f"{name}.log"
        with _guard, open(self.log, "wb") as log:
            if _closing.is_set():
                raise CannotStart("the run is over")
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self._stdout(log),
                stderr=log,
                start_new_session=True,
            )
            _living.add(self)

    def _stdout(self, log):
        return log

    def alive(self):
        return self.process.poll() is None

    def wait(self, seconds):
        """The exit code, or None when the time is up."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        _living.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Server(Child):
    """A program that says on stdout `listening on HOST:PORT`, as hybridge does."""

    def __init__(self, name, command, folder, environment=None):
        super().__init__(name, command, folder, environment)
        lines = queue.SimpleQueue()
        threading.Thread(target=self._drain, args=(lines,), daemon=True).start()
        try:
            found = lines.get(timeout=START_SECONDS)
        except queue.Empty:
            found = None
        if not found:
            self.kill()
            raise CannotStart(f"{name} does not listen: {self.log.read_text(errors='replace').strip()[-400:]}")
        self.port = int(found)

    def _stdout(self, log):
        return subprocess.PIPE

    def _drain(self, lines):
        """Reads to the end, so that no full pipe ever holds the server up."""
        for line in self.process.stdout:
            found = re.match(rb"listening on \S+:(\d+)", line)
            if found:
                lines.put(found[1])
        lines.put(None)
