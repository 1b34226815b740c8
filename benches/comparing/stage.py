"""Several proxies up at the same time, measured by turns."""
from contextlib import ExitStack
from typing import NamedTuple

from .machine import Failed, busy_ns, cpus
from .programs import Backend, Clients, Proxy


class Subject(NamedTuple):
    """A proxy and what its clients speak; none: they read its event stream."""
    kind: str
    dialect: str | None = "v13"
    threads: int = 1

    def __str__(self):
        name = {"haproxy": "HAProxy", "floor": "floor"}.get(self.kind, self.kind)
        if self.kind == "hybridge":
            name += f" {self.dialect}"
        return name + (f", {self.threads} threads" if self.threads > 1 else "")


HAPROXY, NGINX, FLOOR = Subject("haproxy"), Subject("nginx"), Subject("floor")


def hybridge(*dialects, threads=1):
    return [Subject("hybridge", dialect, threads) for dialect in dialects]


class Stage:
    """Proxies that stay up until this ends. One thread's proxies have the first CPU, the load has the second."""

    def __init__(self, bench, row, free=False, tls=False, events=False):
        self.bench, self.row, self.tls, self.events = bench, row, tls, events
        first, *others = cpus()
        self.proxy_on = None if free else {first}
        self.load_on = None if free else {others[0] if others else first}
        self.stack, self.proxies, self.clients, self.up = ExitStack(), {}, {}, []

    def __enter__(self):
        self.stack.__enter__()
        self.backend = self.keep(Backend(self.bench.tools, "events" if self.events else "echo", self.load_on))
        return self

    def __exit__(self, *what):
        return self.stack.__exit__(*what)

    def keep(self, started):
        self.stack.callback(started.stop)
        return started

    def proxy(self, subject, wrap=(), listening=True):
        return Proxy(self.bench.tools, subject.kind, self.backend.port, self.proxy_on, subject.threads, self.tls,
                     self.events, wrap, listening)

    def clients_of(self, proxy, subject):
        return Clients(self.bench.tools, proxy.port, subject.dialect, self.load_on, self.tls)

    def raise_curtain(self, subjects, *orders):
        """Starts proxies, and gives the clients of each their first orders."""
        for subject in subjects:
            key = subject.kind, subject.threads
            with self.excused(subject):
                if key not in self.proxies:
                    self.proxies[key] = self.keep(self.proxy(subject))
                self.clients[subject] = self.keep(self.clients_of(self.proxies[key], subject))
                for order in orders:
                    self.clients[subject].order(*order)
                self.up.append(subject)

    def excused(self, subject):
        """What fails in it is told, and everybody else is measured all the same."""
        return Excuse(self, subject)

    def measure(self, subject, *order):
        """Carries out an order; how much the proxy worked for each of what was counted, in µs, and how much others did."""
        proxy, clients = self.proxies[subject.kind, subject.threads], self.clients[subject]
        return measure(proxy, clients, self.backend, *order)

    def rounds(self, number, act):
        """Samples of every subject, by turns; the order turns, too."""
        samples = {subject: [] for subject in self.up}
        for turn in range(number):
            at = turn % max(1, len(self.up))
            for subject in self.up[at:] + self.up[:at]:
                sample = None
                with self.excused(subject):
                    sample = act(self, subject)
                    self.bench.report.noise.append(sample["others"])
                samples[subject].append(sample)
        return samples


class Excuse:
    def __init__(self, stage, subject):
        self.stage, self.subject = stage, subject

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        if isinstance(error, Failed):
            self.stage.bench.report.fail(self.stage.row, self.subject, error)
            self.stage.up = [subject for subject in self.stage.up if subject != self.subject]
            return True
        return False


def measure(proxy, clients, backend, *order):
    ours = [proxy.process, clients.process, backend.process]
    before, busy = [process.cpu_ns() for process in ours], busy_ns()
    sample = clients.order(*order)
    after, busy = [process.cpu_ns() for process in ours], busy_ns() - busy
    used = [end - begin for begin, end in zip(before, after)]
    sample["cpu"] = used[0] / 1e3 / max(1, sample["count"])
    sample["load"] = (used[1] + used[2]) / 1e3 / max(1, sample["count"])
    sample["rate"] = sample["count"] / max(1e-9, sample["seconds"])
    sample["others"] = max(0, busy - sum(used)) / 1e9 / max(1e-9, sample["seconds"])
    return sample
