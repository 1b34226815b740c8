"""Child processes that never outlive the harness, and the lines they print, with the time of each."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

_alive = set()
_alive_lock = threading.Lock()
_is_stopping = False


def dying_with_parent(command, by="KILL"):
    """Should the harness itself be killed, the kernel ends its children."""
    prefix = ["setpriv", "--pdeathsig", by, "--"] if shutil.which("setpriv") else []
    return [*prefix, *map(str, command)]


class Child:
    """A process whose standard output is read line by line, whose standard error goes to a file."""

    def __init__(self, command, log, env=None):
        self.lines = []  # (time.monotonic(), line)
        self.log = log
        self._changed = threading.Condition()
        self._is_read = False
        with open(log, "wb") as stderr, _alive_lock:
            if _is_stopping:
                raise SystemExit
            self._process = subprocess.Popen(
                dying_with_parent(command),
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
            _alive.add(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self.lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._is_read = True
            self._changed.notify_all()

    def wait_for(self, condition, seconds):
        """Waits until `condition()` is true of the lines read so far; returns what it returned last."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._is_read, seconds)
            return condition()

    def finish(self, seconds):
        """Waits for the end of output and process; returns the exit code, or None if there was none in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._is_read, seconds)
        try:
            return self._process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def is_running(self):
        return self._process.poll() is None

    def kill(self):
        with _alive_lock:
            _alive.discard(self)
        try:
            # The whole group: a program may have started others.
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def complaint(self):
        """The last line of what it wrote to standard error, for a person to read."""
        with open(self.log, errors="replace") as log:
            lines = log.read().strip().splitlines()
        return lines[-1] if lines else "without a word"


def kill_all():
    global _is_stopping
    with _alive_lock:
        _is_stopping = True
        remaining = list(_alive)
    for child in remaining:
        child.kill()


def _stop(number, _frame):
    kill_all()
    # Not sys.exit: threads may still wait for children that are no more.
    sys.stdout.flush()
    os._exit(128 + number)


def kill_all_at_exit():
    atexit.register(kill_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
