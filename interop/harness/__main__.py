"""Real old clients, through hybridge, against real modern backends. See interop/README.md."""

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import catalog
import corpus
import dialling
import processes
import rows
import stage
import tools
from tools import HOME, ROOT

LAST = HOME / "last"  # logs of the last run, and what was said and heard where something failed
BUILD_SECONDS = 1800


def main():
    options = parse_arguments()
    chosen = list(rows.choose(options.only, "v13" if options.against == "backends" else None, options.repeat))
    dialled = list(dialling.choose(options.only)) if options.against == "hybridge" and not options.backend else []
    replayed = corpus.choose(options.only) if options.against == "hybridge" and not options.backend else []
    if not chosen and not dialled and not replayed:
        sys.exit(f"interop: no client's name begins with {' or '.join(options.only)}; --list names them")
    if options.list:
        for row in chosen:
            print(f"{row.label:<22}{row.client.dialect:<10}{row.client.title}")
        for server, dialect in dialled:
            print(f"{'dial-' + dialect:<22}{dialling.DIALECTS[dialect][0]:<10}hybridge dial, at {server.backend.title}")
        for bridge in replayed:
            print(f"{corpus.label(bridge):<32}the plays of fixtures/, at the {bridge.title}")
        return 0
    processes.kill_all_at_exit()
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"interop: another interop/run is at work in {HOME.relative_to(ROOT)}")
        return run(options, chosen, dialled, replayed)


def parse_arguments():
    backends = [backend.name for backend in catalog.BACKENDS]
    parser = argparse.ArgumentParser(
        prog="interop/run", description=__doc__,
        epilog="The environment variable HYBRIDGE names another binary than the one that cargo builds.")
    parser.add_argument("--only", metavar="NAME", action="append",
                        help="only clients whose name begins so; may be given several times")
    parser.add_argument("--backend", choices=backends, action="append",
                        help="only this backend")
    parser.add_argument("--repeat", metavar="N", type=int, default=1,
                        help="run each client N times; the first failure ends its row")
    parser.add_argument("--against", choices=["hybridge", "reference", "backends"], default="hybridge",
                        help="without hybridge: the clients at a reference server that speaks the old dialects itself, "
                             "or those of today's dialect at the backends")
    parser.add_argument("--list", action="store_true", help="name the clients, and stop")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="keep what was said and heard also where nothing failed, and say where")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat: at least 1")
    if options.backend and options.against == "reference":
        parser.error("--backend: the reference server is the only one there")
    return options


def run(options, chosen, dialled, replayed):
    hybridge = hybridge_binary() if options.against == "hybridge" else None
    started = time.monotonic()
    shutil.rmtree(LAST, ignore_errors=True)
    LAST.mkdir()

    # Everything is installed before anything is run: the times in the table are those of the clients.
    for row in chosen:
        with contextlib.suppress(tools.Missing, tools.Broken):
            row.client.install()
    totals = dict(passed=0, failed=0, skipped=0)
    if chosen:
        send_clients(options, chosen, hybridge, totals)
    if dialled:
        dialling.run(dialled, hybridge, LAST, options.verbose, totals)
    if replayed:
        corpus.run(replayed, hybridge, LAST, totals)

    print(f"\n{time.monotonic() - started:.0f} s; logs are in {LAST.relative_to(ROOT)}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals))
    return 0 if totals["passed"] and not totals["failed"] else 1


def send_clients(options, chosen, hybridge, totals):
    """The clients through hybridge, a row for each; adds to the totals."""
    lanes = [open_lane(backend, hybridge) for backend in choose_backends(options)]

    print(f"\n{'client':<22}{'dialect':<10}{'program':<30}" + "".join(f"{lane.title:<24}" for lane in lanes))
    runner = stage.Runner(LAST, keep_all=options.verbose)
    with ThreadPoolExecutor(len(lanes)) as pool:
        for row in chosen:
            title, cells = rows.perform(row, lanes, runner, pool)
            print_row(row, title, lanes, cells)
            for kind in totals:
                totals[kind] += sum(getattr(cell, kind) for cell in cells)
    for lane in lanes:
        lane.stop()


def choose_backends(options):
    if options.against == "reference":
        return [catalog.REFERENCE]
    return [backend for backend in catalog.BACKENDS if not options.backend or backend.name in options.backend]


def open_lane(backend, hybridge):
    try:
        return stage.Lane(backend, backend.install(), hybridge, LAST)
    except tools.Missing as reason:
        return stage.ClosedLane(backend, str(reason), is_missing=True)
    except (tools.Broken, stage.CannotStart) as reason:
        return stage.ClosedLane(backend, str(reason), is_missing=False)


def print_row(row, title, lanes, cells):
    print(f"{row.label:<22}{row.client.dialect:<10}{title:<30}" + "".join(f"{cell!s:<24}" for cell in cells))
    for lane, cell in zip(lanes, cells):
        for note in cell.notes:
            print(f"    {lane.name}: {note}")
    sys.stdout.flush()


def hybridge_binary():
    given = os.environ.get("HYBRIDGE")
    if given:
        binary = Path(given).resolve()
    else:
        command = ["cargo", "build", "--locked", "--release"]
        print("  $", *command, flush=True)
        try:
            subprocess.run(processes.dying_with_parent(command), cwd=ROOT, check=True, timeout=BUILD_SECONDS)
        except (OSError, subprocess.SubprocessError) as problem:
            sys.exit(f"interop: hybridge does not build: {problem}")
        binary = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "hybridge"
    if not os.access(binary, os.X_OK):
        sys.exit(f"interop: there is no hybridge at {binary}")
    return binary


sys.exit(main())
