"""One stretch of cases in one run of Autobahn: its processes, its time limit, its verdicts."""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import processes
from compare import Verdict
from tools import HERE

AGENT = "testee"

# The seconds that a case may take on average before the shard is given up, by chapter. Most cases take milliseconds,
# those of 6.4 two seconds; 12 and 13 up to 20 on two busy cores.
CASE_SECONDS = {9: 20, 12: 90, 13: 90}
LIGHT_CASE_SECONDS = 5

# Cases of 12 and 13 in a shard: short enough to share them out evenly.
COMPRESSION_SHARD = 6


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    version: int | None  # the protocol version in Autobahn's own count; None: its default, RFC 6455
    autobahn_is_client: bool = True


PARTS = (
    Part("v13", "fuzzingclient, version 13 -> ws 8", None),
    Part("v8", "fuzzingclient, version 8 -> ws 8", 10),  # the draft's number: hybi-10 says "8" on the wire
    Part("server", "ws 8, version 13 -> fuzzingserver", None, autobahn_is_client=False),
)


@dataclass(frozen=True)
class Lane:
    """What stands between the two ends."""

    name: str
    proxy: Path | None = None
    environment: tuple = ()  # of the proxy, as pairs


@dataclass(frozen=True)
class Shard:
    part: Part
    lane: Lane
    cases: tuple
    again: bool = False

    @property
    def name(self):
        return f"{self.part.name}-{self.lane.name}-{self.cases[0]}{'-again' if self.again else ''}"

    @property
    def weight(self):
        return sum(seconds_for(case) for case in self.cases)


@dataclass
class Result:
    verdicts: dict
    seconds: float
    trouble: str  # what broke the run off, or what the proxy said that it should not


def split(cases):
    """Cases into stretches that run side by side: those that wait for timers, and those that use the processor."""
    stretches = {}
    for case in cases:
        chapter = int(case.split(".")[0])
        stretches.setdefault(chapter if chapter in (6, 7, 9) else 12 if chapter >= 12 else 0, []).append(case)
    compression = stretches.pop(12, [])
    pieces = [compression[start:start + COMPRESSION_SHARD] for start in range(0, len(compression), COMPRESSION_SHARD)]
    return [tuple(stretch) for stretch in (*pieces, *stretches.values())]


def seconds_for(case):
    return CASE_SECONDS.get(int(case.split(".")[0]), LIGHT_CASE_SECONDS)


def run(shard, tools, last):
    folder = last / shard.name
    folder.mkdir()
    started = time.monotonic()
    try:
        if shard.part.autobahn_is_client:
            trouble = run_fuzzingclient(shard, tools, folder)
        else:
            trouble = run_fuzzingserver(shard, tools, folder)
    except processes.CannotStart as problem:
        trouble = str(problem)
    return Result(read_verdicts(folder, last), time.monotonic() - started, trouble)


def run_fuzzingclient(shard, tools, folder):
    with processes.Server("echo", [tools.node, HERE / "echo.js"], folder, tools.node_env) as echo:
        with Proxy(shard, echo.port, folder) as proxy:
            options = {"version": shard.part.version} if shard.part.version else {}
            spec = write_spec(shard, folder, {
                "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{proxy.port}", "options": options}],
            })
            with processes.Child("wstest", [tools.wstest, "-m", "fuzzingclient", "-s", spec], folder) as wstest:
                trouble = verdict_on_exit("wstest", wstest, shard.weight)
            return trouble or proxy.trouble()


def run_fuzzingserver(shard, tools, folder):
    with start_fuzzingserver(shard, tools, folder) as fuzzingserver:
        with Proxy(shard, fuzzingserver.port, folder) as proxy:
            slowest = max(map(seconds_for, shard.cases))
            words = [f"ws://127.0.0.1:{proxy.port}", AGENT, len(shard.cases), slowest]
            with processes.Child("client", [tools.node, HERE / "client.js", *words], folder, tools.node_env) as client:
                trouble = verdict_on_exit("client", client, shard.weight)
            return trouble or proxy.trouble()


def start_fuzzingserver(shard, tools, folder):
    """It takes no port 0, for it compares Host with its own: so a free one is looked for, and might be lost again."""
    for _ in range(3):
        port = free_port()
        spec = write_spec(shard, folder, {"url": f"ws://127.0.0.1:{port}"})
        server = processes.Child("wstest", [tools.wstest, "-m", "fuzzingserver", "-s", spec, "-u", "0"], folder)
        server.port = port
        give_up = time.monotonic() + processes.START_SECONDS
        while server.alive() and time.monotonic() < give_up:
            if answers(port):
                return server
            time.sleep(0.05)
        server.kill()
    raise processes.CannotStart(f"the fuzzingserver does not listen: see {server.log.name}")


class Proxy:
    """hybridge, in front of a port; or nothing at all."""

    def __init__(self, shard, port, folder):
        self.child = None
        self.port = port
        if shard.lane.proxy:
            command = [shard.lane.proxy, "serve", "--listen", "127.0.0.1:0", "--upstream", f"ws://127.0.0.1:{port}"]
            if not shard.part.autobahn_is_client:
                # The fuzzingserver answers 400 unless Host carries its own port.
                command += ["--upstream-host", "upstream"]
            self.child = processes.Server("hybridge", command, folder, dict(shard.lane.environment))
            self.port = self.child.port

    def trouble(self):
        if not self.child:
            return ""
        if not self.child.alive():
            return f"hybridge ended with {self.child.process.returncode}: see hybridge.log"
        return "hybridge panicked: see hybridge.log" if b"panicked at" in self.child.log.read_bytes() else ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child:
            self.child.kill()


def verdict_on_exit(name, child, seconds):
    code = child.wait(seconds)
    if code is None:
        return f"{name} was not done after {seconds} s"
    return f"{name} ended with {code}: see {child.log.name}" if code else ""


def write_spec(shard, folder, particulars):
    spec = folder / "spec.json"
    spec.write_text(json.dumps({"outdir": str(folder), "cases": shard.cases, "exclude-cases": [], **particulars}))
    return spec


def read_verdicts(folder, last):
    index = folder / "index.json"
    if not index.exists():
        return {}
    return {
        case: Verdict(
            behavior=row["behavior"],
            close=row["behaviorClose"],
            code=row["remoteCloseCode"],
            milliseconds=row["duration"],
            report=str((folder / row["reportfile"]).relative_to(last)),
        )
        for case, row in json.loads(index.read_text()).get(AGENT, {}).items()
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
