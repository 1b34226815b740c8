"""The command line, and the run."""
import argparse
import datetime
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable, NamedTuple

from . import counting, holding, talking
from .machine import Failed, Missing, cpus, describe, raise_file_limit
from .needs import build_hybridge, build_load, build_static, find_programs, version
from .programs import Backend, Clients, MOST_CONNECTIONS, Tools
from .report import Report

EPILOG = """\
Markdown goes to stdout, progress to stderr. As root on Debian it installs what is missing.

exit codes: 0 all was measured, whether or not goals were met; 1 a byte was wrong or a proxy failed;
2 the command line was misused; 3 something is missing that it needs, or cannot be built
"""


class Row(NamedTuple):
    what: str
    run: Callable
    needs: tuple = ("haproxy", "nginx")


ROWS = {
    "echo64": Row("64 B echo on 100 connections: CPU per message", talking.echo64),
    "instructions": Row("user instructions per 64 B echo", counting.instructions, ("haproxy", "nginx", "valgrind")),
    "syscalls": Row("system calls per 64 B echo, on 1 and 100 connections", counting.syscalls,
                    ("haproxy", "nginx", "strace")),
    "echo64k": Row("64 KiB echo on 16 connections: CPU per message", talking.echo64k),
    "bulk": Row("one message of 1 GiB: memory and CPU", holding.bulk),
    "idle": Row("9,000 idle connections: memory and CPU", holding.idle),
    "open": Row("connections opened and closed: CPU and p99", talking.opens),
    "rate": Row("5,000 messages/s, open loop: p50, p99, CPU", talking.rate),
    "tls64": Row("64 B echo, TLS at the client: CPU per message", talking.tls64),
    "tls64k": Row("64 KiB echo, TLS at the client: CPU per message", talking.tls64k),
    "tlsopen": Row("full TLS handshakes: CPU", talking.tlsopens),
    "tlsidle": Row("idle connections, TLS at the client: memory", holding.tlsidle),
    "events": Row("Server-Sent Events to hixie-76, against nginx passing them through: events/s", talking.events,
                  ("nginx",)),
    "threads": Row("two threads against nginx with two workers: throughput, p99", talking.threads, ("nginx",)),
    "start": Row("from the start to the first open connection", counting.start),
    "binary": Row("size of the release binary", counting.binary, ()),
}


class Bench:
    """How much is measured, with what, and what came of it."""

    def __init__(self, options, tools, report, files):
        quick = options.quick
        self.tools, self.report, self.files = tools, report, files
        self.rounds = options.rounds or (5 if quick else 15)
        self.fresh_rounds = min(self.rounds, 1 if quick else 3)
        self.seconds = 0.25 if quick else 0.5
        self.bulk = 2**28 if quick else 2**30
        self.connections = 2_000 if quick else 9_000
        self.tls_connections = 500 if quick else 2_000
        self.churned = 600 if quick else 2_000
        self.hold = 2 if quick else 5
        self.static = None if quick or options.hybridge else build_static

    def idle(self, wanted):
        """As many connections as a proxy may have: each is two files."""
        most = min(MOST_CONNECTIONS, (self.files - 100) // 2)
        if most < wanted:
            self.report.say(f"only {self.files} files may be open here: {most} connections instead of {wanted}")
        return min(wanted, most)


def arguments(given):
    parser = argparse.ArgumentParser(
        prog="benches/compare", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="Measures hybridge against HAProxy and nginx by turns, and prints what came of each goal.")
    parser.add_argument("--rows", metavar="NAME,…", help="only these rows; --list names them")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each proxy (15; with --quick 5)")
    parser.add_argument("--quick", action="store_true", help="less of everything: some minutes, rougher figures")
    parser.add_argument("--hybridge", metavar="FILE", help="measure this hybridge, and build none")
    parser.add_argument("--list", action="store_true", help="name the rows, and measure nothing")
    options = parser.parse_args(given)
    options.rows = options.rows.split(",") if options.rows else list(ROWS)
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds needs a number above 0")
    if options.hybridge and not (os.path.isfile(options.hybridge) and os.access(options.hybridge, os.X_OK)):
        parser.error(f"--hybridge: {options.hybridge} is no program that can be run; leave it out to have one built")
    return options


def main(given=None):
    options = arguments(given)
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:13}{row.what}")
        return 0
    # So that whatever was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report()
    try:
        return compare(options, report)
    except Missing as missing:
        print(f"benches/compare: {missing}", file=sys.stderr)
        return 3
    except Failed as failed:
        print(f"benches/compare: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benches/compare: interrupted", file=sys.stderr)
        return 1


def compare(options, report):
    find_programs(sorted({need for name in options.rows for need in ROWS[name].needs}), report.say)
    report.say("building what is not built")
    load = build_load()
    hybridge = os.path.abspath(options.hybridge) if options.hybridge else build_hybridge()
    files = raise_file_limit(2 * MOST_CONNECTIONS + 500)
    begun, folder = time.monotonic(), tempfile.mkdtemp(prefix="hybridge-compare-")
    # nginx's workers may be another user's.
    os.chmod(folder, 0o755)
    try:
        bench = Bench(options, Tools(hybridge, load, folder), report, files)
        subprocess.run([load, "certificate", folder], check=True)
        doubt(bench.tools)
        for name in options.rows:
            report.say(f"{name}: {ROWS[name].what}")
            try:
                ROWS[name].run(bench, name)
            except Failed as failed:
                report.fail(name, "all", failed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.markdown(about(bench, options), notes(bench, begun)))
    return 1 if report.failures else 0


def doubt(tools):
    """The load must notice a byte that a backend changed, else none of its figures counts."""
    backend = Backend(tools, "echo", extra=("--spoil", "1000"))
    clients = Clients(tools, backend.port, "v13")
    try:
        clients.order("open", 1, 1)
        clients.order("talk", 10, 64)
        try:
            clients.order("talk", 10, 64)
        except Failed as noticed:
            if "is not what was said" in str(noticed):
                return
        raise Failed("the load did not notice a byte that was changed")
    finally:
        clients.stop()
        backend.stop()


def about(bench, options):
    given = [
        "benches/compare",
        "--quick" if options.quick else "",
        f"--rounds {options.rounds}" if options.rounds else "",
        f"--rows {','.join(options.rows)}" if options.rows != list(ROWS) else "",
        "--hybridge …" if options.hybridge else "",
    ]
    with_versions = [version(bench.tools.hybridge, "--version")]
    for program, flag in (("haproxy", "-v"), ("nginx", "-v"), ("rustc", "--version")):
        if shutil.which(program):
            with_versions.append(version(program, flag).removeprefix("nginx version: ").split(" - ")[0])
    return (f"{datetime.date.today()}, {describe()}; {'; '.join(with_versions)}. Command: "
            f"`{' '.join(filter(None, given))}`.")


def notes(bench, begun):
    noise = bench.report.noise
    told = [f"Took {(time.monotonic() - begun) / 60:.0f} minutes, {bench.rounds} rounds."]
    if noise:
        told.append(f"Of the machine's cores, others used {statistics.median(noise):.2f} (median of the rounds).")
    if len(cpus()) < 2:
        told.append("There is one CPU, which proxies and load share: CPU figures are rough.")
    return [" ".join(told)]
