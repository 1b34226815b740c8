"""The rows in which proxies stay up and take turns: echoes, handshakes, a steady rate, events, threads."""
from .programs import DIALECTS
from .report import lowest, middle, ratios
from .stage import FLOOR, HAPROXY, NGINX, Stage, Subject, hybridge

HEADS = ("", "each/s", "p50 µs", "p99 µs", "CPU µs each", "× base", "quartiles", "rounds")


def table(bench, row, title, samples, base):
    lines = []
    for subject, taken in samples.items():
        good = [sample for sample in taken if sample]
        if not good:
            continue
        low, mid, high = ratios(taken, samples.get(base, []), "cpu")
        # Events have no beginning that a latency could count from.
        p50, p99 = (f"{middle(taken, key):,.0f}" if good[0]["p50"] else "–" for key in ("p50", "p99"))
        lines.append((subject, f"{middle(taken, 'rate'):,.0f}", p50, p99, f"{lowest(taken, 'cpu'):.2f}", f"{mid:.2f}",
                      f"{low:.2f}–{high:.2f}", len(good)))
    bench.report.table(row, f"{title}; CPU × {base}", HEADS, lines)


def judge(bench, row, samples, subject, base, limit, key="cpu", what="CPU", least=False):
    """A goal that is a share of a peer's figure."""
    if any(samples.get(subject, [])) and any(samples.get(base, [])):
        _, value, _ = ratios(samples[subject], samples[base], key)
        bench.report.judge(row, what, subject, value, limit, f"× {base}", least)


def echo(bench, row, title, connections, size, subjects, tls=False):
    with Stage(bench, row, tls=tls) as stage:
        stage.raise_curtain(subjects, ("open", connections, 16), ("last", 0.3, size))
        samples = stage.rounds(bench.rounds, lambda on, who: on.measure(who, "last", bench.seconds, size))
    table(bench, row, title, samples, HAPROXY)
    return samples


def echo64(bench, row):
    subjects = [HAPROXY, NGINX, FLOOR, *hybridge(*DIALECTS)]
    samples = echo(bench, row, "64 B echo, 100 connections", 100, 64, subjects)
    for subject in hybridge(*DIALECTS):
        judge(bench, row, samples, subject, HAPROXY, 0.80, what="CPU per message")
        judge(bench, row, samples, subject, FLOOR, 1.10, what="CPU per message")


def echo64k(bench, row):
    subjects = [HAPROXY, NGINX, FLOOR, *hybridge(*DIALECTS)]
    samples = echo(bench, row, "64 KiB echo, 16 connections", 16, 65536, subjects)
    for dialect, limit in (("hixie-76", 0.60), ("v8", 0.50), ("v13", 0.50)):
        judge(bench, row, samples, *hybridge(dialect), HAPROXY, limit, what="CPU per message")


def tls64(bench, row):
    samples = echo(bench, row, "64 B echo, 100 connections, TLS at the client", 100, 64,
                   [HAPROXY, NGINX, *hybridge("hixie-76", "v13")], tls=True)
    for subject in hybridge("hixie-76", "v13"):
        judge(bench, row, samples, subject, HAPROXY, 0.95, what="CPU per message")


def tls64k(bench, row):
    samples = echo(bench, row, "64 KiB echo, 16 connections, TLS at the client", 16, 65536,
                   [HAPROXY, NGINX, *hybridge("hixie-76", "v13")], tls=True)
    for subject in hybridge("hixie-76", "v13"):
        judge(bench, row, samples, subject, HAPROXY, 0.65, what="CPU per message")


def opening(bench, row, title, count, tls):
    subjects = [HAPROXY, NGINX, *hybridge("hixie-76", "v13")]
    with Stage(bench, row, tls=tls) as stage:
        stage.raise_curtain(subjects, ("churn", 200, 16))
        samples = stage.rounds(bench.rounds, lambda on, who: on.measure(who, "churn", count, 16))
    table(bench, row, title, samples, HAPROXY)
    return samples


def opens(bench, row):
    samples = opening(bench, row, "connections opened and closed, 16 at a time", bench.churned, tls=False)
    subject, = hybridge("hixie-76")
    judge(bench, row, samples, subject, HAPROXY, 1.00, what="CPU per connection")
    judge(bench, row, samples, subject, HAPROXY, 1.10, "p99", "p99 until open")


def tlsopens(bench, row):
    samples = opening(bench, row, "full TLS 1.3 handshakes (P-256), opened and closed, 16 at a time",
                      bench.churned // 4, tls=True)
    for subject in hybridge("hixie-76", "v13"):
        judge(bench, row, samples, subject, HAPROXY, 0.90, what="CPU per connection")


def rate(bench, row):
    subjects, second = [HAPROXY, NGINX, *hybridge("hixie-76", "v13")], max(0.5, 2 * bench.seconds)
    with Stage(bench, row) as stage:
        stage.raise_curtain(subjects, ("open", 100, 16), ("rate", 5000, 0.3, 64))
        samples = stage.rounds(bench.rounds, lambda on, who: on.measure(who, "rate", 5000, second, 64))
    table(bench, row, "5,000 messages/s of 64 B in all, on 100 connections, whatever comes back", samples, HAPROXY)
    subject, = hybridge("hixie-76")
    judge(bench, row, samples, subject, HAPROXY, 0.95, "p50", "p50")
    judge(bench, row, samples, subject, HAPROXY, 1.00, "p99", "p99")
    judge(bench, row, samples, subject, HAPROXY, 0.85, what="CPU per message")


def listen(bench):
    def act(stage, subject):
        clients = stage.clients[subject]
        clients.order("open", 8, 8)
        # What fills the buffers on the way is nobody's speed.
        clients.order("listen", 0.2)
        sample = stage.measure(subject, "listen", 2 * bench.seconds)
        clients.order("drop")
        return sample
    return act


def events(bench, row):
    nginx, = peers = [Subject("nginx", None)]
    subjects = [*peers, *hybridge("hixie-76", "v13")]
    with Stage(bench, row, events=True) as stage:
        stage.raise_curtain(subjects)
        samples = stage.rounds(bench.rounds, listen(bench))
    table(bench, row, "events of 64 B at full rate, 8 listeners", samples, nginx)
    judge(bench, row, samples, *hybridge("hixie-76"), nginx, 1.00, "rate", "events/s", least=True)


def threads(bench, row):
    nginx = Subject("nginx", threads=2)
    both = hybridge("hixie-76", "v13", threads=2)
    alone = hybridge("hixie-76", "v13")
    with Stage(bench, row, free=True) as stage:
        stage.raise_curtain([nginx, *both, *alone], ("open", 100, 16), ("last", 0.3, 64))
        samples = stage.rounds(bench.rounds, lambda on, who: on.measure(who, "last", bench.seconds, 64))
    table(bench, row, "64 B echo, 100 connections; nobody is held to a CPU", samples, nginx)
    for subject, one in zip(both, alone):
        judge(bench, row, samples, subject, nginx, 0.90, "rate", "messages/s", least=True)
        judge(bench, row, samples, subject, one, 1.00, "p99", "p99")
