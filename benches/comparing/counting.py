"""The rows without noise: instructions, system calls, the start, the size."""
import glob
import os
import re
import socket
import statistics
import time

from .machine import Failed
from .programs import DIALECTS
from .stage import FLOOR, HAPROXY, NGINX, Stage, hybridge

REQUEST = (b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def watched(stage, subject, wrap, connections, messages):
    """A run of a proxy under a program that watches it, from its start to its end; returns the messages."""
    proxy = stage.proxy(subject, wrap)
    try:
        clients = stage.clients_of(proxy, subject)
        try:
            clients.order("open", connections, 10)
            count = clients.order("talk", messages // connections, 64)["count"]
        finally:
            clients.stop()
        proxy.process.end()
        return count
    finally:
        proxy.stop()


def per_message(stage, subject, wrap, total, connections, few, many):
    """Two runs differ in their messages alone: what the rest costs falls out."""
    found = []
    for messages in (few, many):
        folder = stage.bench.tools.place("watched")
        # nginx's workers are another user's, and write their counts themselves.
        os.chmod(folder, 0o777)
        count = watched(stage, subject, wrap(folder), connections, messages)
        found.append((count, total(folder)))
    (few, less), (many, more) = found
    return (more - less) / (many - few)


def callgrind(folder):
    return ["valgrind", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={folder}/out.%p"]


def instructions_in(folder):
    totals = []
    for path in glob.glob(f"{folder}/out.*"):
        with open(path, errors="replace") as file:
            totals += [max(map(int, re.findall(r"^(?:totals|summary): (\d+)", file.read(), re.M)), default=0)]
    if not sum(totals):
        raise Failed("callgrind counted nothing")
    return sum(totals)


def strace(folder):
    return ["strace", "-f", "-c", "-o", f"{folder}/table"]


def calls_in(folder):
    with open(f"{folder}/table") as file:
        lines = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", file.read(), re.M)
    calls = sum(int(count) for count, name in lines if name != "total")
    if not calls:
        raise Failed("strace counted nothing")
    return calls


def instructions(bench, row):
    counted = {}
    with Stage(bench, row) as stage:
        for subject in [HAPROXY, NGINX, *hybridge(*DIALECTS)]:
            with stage.excused(subject):
                counted[subject] = per_message(stage, subject, callgrind, instructions_in, 10, 500, 5_500)
                bench.report.say(f"  {row}, {subject}: {counted[subject]:,.0f}")
    lines = [(subject, f"{count:,.0f}") for subject, count in counted.items()]
    bench.report.table(row, "user instructions per 64 B echo, there and back", ("", "instructions"), lines)
    for dialect, limit in (("hixie-76", 3_000), ("v8", 2_400), ("v13", 2_400)):
        subject, = hybridge(dialect)
        if subject in counted:
            bench.report.judge(row, "user instructions per echo", subject, counted[subject], limit, "", places=0)


def syscalls(bench, row):
    counted = {}
    with Stage(bench, row) as stage:
        for subject in [HAPROXY, NGINX, FLOOR, *hybridge(*DIALECTS)]:
            with stage.excused(subject):
                one = per_message(stage, subject, strace, calls_in, 1, 200, 4_200)
                many = per_message(stage, subject, strace, calls_in, 100, 2_000, 22_000)
                counted[subject] = one, many
                bench.report.say(f"  {row}, {subject}: {one:.2f} / {many:.2f}")
    lines = [(subject, f"{one:.2f}", f"{many:.2f}") for subject, (one, many) in counted.items()]
    bench.report.table(row, "system calls per 64 B echo", ("", "1 connection", "100 connections"), lines)
    for subject in hybridge(*DIALECTS):
        if subject in counted:
            one, many = counted[subject]
            bench.report.judge(row, "system calls per echo, 1 connection", subject, one, 6.0, "")
            bench.report.judge(row, "system calls per echo, 100 connections", subject, many, 4.05, "")


def first_opened(port, patience=30):
    """Waits for the first connection that is opened all the way to the backend."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with socket.socket() as client:
            client.settimeout(1)
            try:
                client.connect(("127.0.0.1", port))
                client.sendall(REQUEST)
                if client.recv(4096).startswith(b"HTTP/1.1 101 "):
                    return
            except OSError:
                time.sleep(0.0005)
    raise Failed(f"no connection was opened within {patience} s")


def started(stage, subject):
    """Milliseconds from the start of the process to its first open connection."""
    begun = time.monotonic()
    proxy = stage.proxy(subject, listening=False)
    try:
        first_opened(proxy.port)
        return (time.monotonic() - begun) * 1e3
    finally:
        proxy.stop()


def start(bench, row):
    lines, took = [], {}
    with Stage(bench, row) as stage:
        for subject in [HAPROXY, NGINX, *hybridge("v13")]:
            with stage.excused(subject):
                took[subject] = [started(stage, subject) for _ in range(bench.rounds)]
                lines.append((subject, f"{statistics.median(took[subject]):.1f}", f"{max(took[subject]):.1f}"))
    bench.report.table(row, "from the start of the process to the first connection that is open, ms",
                       ("", "median", "longest"), lines)
    subject, = hybridge("v13")
    if subject in took:
        bench.report.judge(row, "first connection open", "hybridge", statistics.median(took[subject]), 30, "ms", places=1)


def binary(bench, row):
    sizes = {"dynamic": bench.tools.hybridge}
    if bench.static:
        sizes["static"] = bench.static()
    lines = [(name, f"{os.path.getsize(path) / 1e6:.2f}") for name, path in sizes.items()]
    bench.report.table(row, "the stripped release binary, MB", ("", "MB"), lines)
    for name, path in sizes.items():
        bench.report.judge(row, f"release binary, {name}", "hybridge", os.path.getsize(path) / 1e6, 8, "MB")
