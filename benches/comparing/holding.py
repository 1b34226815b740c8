"""The rows that look at memory: a huge message, and thousands of idle connections. Each needs fresh processes."""
import time

from .programs import DIALECTS
from .report import lowest, middle, ratios
from .stage import FLOOR, HAPROXY, NGINX, Stage, hybridge, measure
from .talking import judge

MIB = 1024


def one_message(stage, subject):
    """A message of `bench.bulk` bytes through a fresh proxy."""
    proxy = stage.proxy(subject)
    try:
        clients = stage.clients_of(proxy, subject)
        try:
            before = proxy.process.memory("Rss")
            proxy.process.forget_peak()
            clients.order("open", 1, 1)
            sample = measure(proxy, clients, stage.backend, "talk", 1, stage.bench.bulk)
            sample["peak"] = proxy.process.peak() / MIB
            sample["growth"] = max(0, proxy.process.peak() - before) / MIB
            return sample
        finally:
            clients.stop()
    finally:
        proxy.stop()


def bulk(bench, row):
    with Stage(bench, row) as stage:
        stage.up = [HAPROXY, NGINX, FLOOR, *hybridge(*DIALECTS)]
        samples = stage.rounds(bench.fresh_rounds, one_message)
    lines = []
    for subject, taken in samples.items():
        if any(taken):
            _, ratio, _ = ratios(taken, samples[HAPROXY], "cpu")
            lines.append((
                subject, f"{bench.bulk / 2**20 / middle(taken, 'seconds'):,.0f}", f"{lowest(taken, 'cpu') / 1e3:,.0f}",
                f"{ratio:.2f}", f"{middle(taken, 'peak'):.2f}", f"{middle(taken, 'growth'):.2f}"))
    size = f"{bench.bulk / 2**30:g} GiB"
    bench.report.table(row, f"one message of {size}, echoed and compared; fresh processes",
                       ("", "MiB/s", "CPU ms", "× HAProxy", "peak RSS MiB", "growth MiB"), lines)
    for subject in hybridge(*DIALECTS):
        if any(samples[subject]):
            bench.report.judge(row, f"{size}: growth of RSS", subject, middle(samples[subject], "growth"), 1, "MiB")
            bench.report.judge(row, f"{size}: peak RSS", subject, middle(samples[subject], "peak"), 8, "MiB")
    for dialect, limit in (("hixie-76", 0.75), ("v8", 0.55), ("v13", 0.55)):
        judge(bench, row, samples, *hybridge(dialect), HAPROXY, limit, what=f"{size}: CPU")


def hold(stage, subject, count):
    """Many connections through a fresh proxy: what each costs, before and after it carried a message, and all at rest."""
    proxy = stage.proxy(subject)
    try:
        clients = stage.clients_of(proxy, subject)
        try:
            memory = lambda: settled(proxy.process)
            start = memory()
            opened = clients.order("open", count, 64)
            idle = memory()
            clients.order("talk", 1, 64)
            used = memory()
            cpu, begun = proxy.process.cpu_ns(), time.monotonic()
            time.sleep(stage.bench.hold)
            cpu = (proxy.process.cpu_ns() - cpu) / 1e6 / (time.monotonic() - begun)
            return {"idle": (idle - start) / count, "used": (used - start) / count, "rest": cpu, "others": 0,
                    "opened": count / opened["seconds"], "start": start / MIB}
        finally:
            clients.stop()
    finally:
        proxy.stop()


def settled(process):
    """PSS in KiB, once what has just happened is over."""
    time.sleep(1.5)
    return process.memory("Pss")


def idling(bench, row, title, count, subjects, tls):
    with Stage(bench, row, tls=tls) as stage:
        stage.up = subjects
        samples = stage.rounds(1, lambda on, who: hold(on, who, count))
    lines = []
    for subject, taken in samples.items():
        for sample in filter(None, taken):
            lines.append((subject, f"{sample['idle']:.2f}", f"{sample['used']:.2f}", f"{sample['rest']:.3f}",
                          f"{sample['start']:.1f}", f"{sample['opened']:,.0f}"))
    bench.report.table(row, title, ("", "KiB each", "after a message", "CPU ms/s of all", "MiB at start", "opened/s"), lines)
    return {subject: taken[0] for subject, taken in samples.items() if taken and taken[0]}


def idle(bench, row):
    count = bench.idle(bench.connections)
    subjects = [HAPROXY, NGINX, FLOOR, *hybridge(*DIALECTS)]
    samples = idling(bench, row, f"{count:,} idle connections, PSS", count, subjects, tls=False)
    for subject in hybridge(*DIALECTS):
        if subject in samples:
            sample = samples[subject]
            bench.report.judge(row, f"{count:,} idle, each", subject, sample["idle"], 1.6, "KiB")
            bench.report.judge(row, "after each carried a message", subject, sample["used"], 1.6, "KiB")
            bench.report.judge(row, "CPU of all", subject, sample["rest"], 0.1, "ms/s", places=3)


def tlsidle(bench, row):
    count = bench.idle(bench.tls_connections)
    subjects = [HAPROXY, NGINX, *hybridge("hixie-76", "v13")]
    samples = idling(bench, row, f"{count:,} idle connections, TLS at the client, PSS", count, subjects, tls=True)
    for subject in hybridge("hixie-76", "v13"):
        if subject in samples:
            bench.report.judge(row, f"{count:,} idle, each", subject, samples[subject]["idle"], 12, "KiB", places=1)
