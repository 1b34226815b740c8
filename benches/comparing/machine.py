"""The machine and its processes, as /proc tells of them."""
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1


class Missing(Exception):
    """What is needed and not there, and what to do."""


class Failed(Exception):
    """A byte was wrong, or a program did not do what it is for."""


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        # A process that has just ended has used nothing since.
        return ""


def raise_file_limit(wanted):
    """For this process and all that it starts. Returns how many files each may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def cpus():
    return sorted(os.sched_getaffinity(0))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def busy_ns():
    """How long all CPUs together worked for anybody, in steps of 10 ms."""
    ticks = [int(field) for field in read("/proc/stat").splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, softirq, _stolen = ticks
    return (user + nice + system + irq + softirq) * (10**9 // os.sysconf("SC_CLK_TCK"))


def describe():
    """CPU, cores and kernel, in words."""
    info = read("/proc/cpuinfo")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", info, re.M)
    model = model[1] if model else os.uname().machine
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}"


class Process:
    """A program that was started, with all its threads and children, until it is stopped."""

    def __init__(self, command, log, on=None, pipes=False):
        self.name = os.path.basename(command[0])
        self.log = log
        pipe = subprocess.PIPE if pipes else subprocess.DEVNULL
        with open(log, "w") as file:
            self.popen = subprocess.Popen(
                command, stdin=pipe, stdout=subprocess.PIPE if pipes else file, stderr=file, text=True,
                start_new_session=True, preexec_fn=lambda: prepare(on))
        self.pid = self.popen.pid

    def tree(self):
        found = [self.pid]
        for pid in found:
            for task in tasks(pid):
                found += map(int, read(f"{task}/children").split())
        return found

    def cpu_ns(self):
        """What all its threads have run so far. Threads and children that ended count no more: proxies here have none."""
        told = [read(f"{task}/schedstat").split() for pid in self.tree() for task in tasks(pid)]
        return sum(int(fields[0]) for fields in told if fields)

    def memory(self, name):
        """PSS or RSS, in KiB: shared pages are in PSS by the share that is its own."""
        told = [re.search(rf"^{name}:\s*(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M) for pid in self.tree()]
        return sum(int(found[1]) for found in told if found)

    def forget_peak(self):
        for pid in self.tree():
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")

    def peak(self):
        """The most RSS since then, in KiB."""
        told = [re.search(r"^VmHWM:\s*(\d+) kB", read(f"/proc/{pid}/status"), re.M) for pid in self.tree()]
        return sum(int(found[1]) for found in told if found)

    def complaint(self):
        lines = read(self.log).strip().splitlines()
        return "; ".join(lines[-3:]) or f"{self.name} says nothing"

    def end(self, patience=20):
        """Asks the program to stop: itself or, where strace started it, its child, so that strace can write its table."""
        tree = self.tree()
        signal_to(tree[1] if self.name == "strace" and len(tree) > 1 else tree[0], signal.SIGTERM)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Failed(f"{self.name} does not end when it is asked to") from None
        self.stop()

    def stop(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


def tasks(pid):
    try:
        return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def signal_to(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def prepare(on):
    """In the new process: it dies with its parent, and stays on these CPUs."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if on is not None:
        os.sched_setaffinity(0, on)


def until(what, patience, done):
    """Waits until something is done."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if done():
            return
        time.sleep(0.01)
    raise Failed(f"{what} not within {patience} s")
