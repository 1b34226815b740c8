"""A cell of the grid: a client of some dialect, through a front and hybridge, to a backend. All ends are compared."""

import contextlib
import hashlib
import http.client
import itertools
import os
import random
import secrets
import ssl
import struct
from dataclasses import dataclass, field

import catalog
import clients
import stage
import tools
from recipes import NAME
from wire import Broken, Wire

CELL_SECONDS = 20
SETTLE_SECONDS = 5
PROMPT_SECONDS = 1.5
LEFT_SECONDS = 4.5  # hybridge waits a little for those that answer
KEPT_BACK_SECONDS = 3
ALPHABETS = ("abcdef 0123456789{}[]\":,\\/\t", "äöüßñçéèÅØ", "你好世界电视频道", "😀📺🎉🛰")
_numbers = itertools.count()


@dataclass(frozen=True)
class Upstream:
    name: str
    title: str
    url: str  # for hybridge.toml
    more: str  # further lines there
    backend: stage.Backend
    is_stream: bool = False

    def closed(self, dialect):
        """What the backend notices when a client closes."""
        if self.is_stream:
            return "gone"
        return {"hixie-75": "1001", "hixie-76": "1000"}.get(dialect, "4001 done")


def start_upstreams(folder, names):
    """The backends, each at work; `names` says which, if not all."""
    here = tools.INTEROP / "fronts" / "backends"
    node = {"NODE_PATH": str(tools.MODULES)}
    rows = (
        ("ws", "npm ws", "ws", "", lambda: (tools.npm_version("ws"), (tools.node(), here / "ws.js"), node)),
        ("websockets", "Python websockets", "ws", "", lambda: (
            tools.pip_version("requirements.txt", "websockets"), (*catalog.python(), here / "websockets_server.py"),
            {"PYTHONPATH": str(tools.pip_packages("requirements.txt"))})),
        ("sse", "npm better-sse", "sse+http", 'send = "/sse/say"\n', lambda: (
            tools.npm_version("better-sse"), (tools.node(), here / "sse.js"), node)),
    )
    started = []
    for name, title, scheme, more, install in rows:
        if names and name not in names:
            continue
        version, command, environment = install()
        program = catalog.Program(version, command, environment)
        backend = stage.Backend(None, program, folder / f"backend-{name}.log")
        url = f"{scheme}://{backend.address}"
        started.append(Upstream(name, f"{title} {version}", url, more, backend, name == "sse"))
    return started


@dataclass
class Outcome:
    kind: str  # passed; known: the front's own fault, and nothing else; late: all is right but the time; or failed
    notes: list = field(default_factory=list)
    fault: str = ""


@dataclass(frozen=True)
class Tls:
    """What a client must get."""

    version: ssl.TLSVersion
    certificate: bytes


def perform(front_stage, port_name, upstream, dialect, segments, context=None, tls=None):
    """Performs a cell. `context` is the client's TLS, and `tls` what it must get."""
    number = next(_numbers)
    port = front_stage.ports[port_name]
    plan = Plan(front_stage, port_name, upstream, dialect, segments, number)
    notes, complaints, said, heard, waited = [], [], [], [], 0
    try:
        if dialect == clients.HTTP:
            browser = clients.Browser(port, plan.address, context, plan.host, plan.target)
            browse(browser, plan.messages, said, heard)
        else:
            with contextlib.closing(Wire(port, plan.address, CELL_SECONDS, context, NAME)) as wire:
                if tls and (wire.tls_version, wire.certificate) != (tls.version, tls.certificate):
                    notes.append(f"client: got {wire.tls_version.name}, or another's certificate")
                client = clients.Client(dialect, segments, wire, plan.url, plan.host, plan.target, plan.protocol)
                complaints = client.complaints
                converse(client, plan.messages, said, heard)
                if segments == "leaves":
                    said.append("please leave")
                    waited = client.be_left()
                else:
                    waited = client.close()
    except Broken as problem:
        notes.append(f"client: {problem}")
    except (OSError, ValueError, http.client.HTTPException) as problem:
        notes.append(f"client: {problem!r}")
    # Who never got in leaves no record to wait for.
    seconds = SETTLE_SECONDS if said else 0.2
    records = upstream.backend.records(plan.ident, seconds, *(("close",) if plan.closed else ("said", len(heard))))
    notes += plan.differences(records, said, heard)
    is_late = waited > (LEFT_SECONDS if segments == "leaves" else PROMPT_SECONDS)
    if is_late:
        notes.append(f"client: the connection ends {waited:.1f} s after the close")
    fault = front_stage.front.fault(dialect, segments)
    good = "passed"
    if fault and tuple(name for name, _ in complaints) == fault.complaints:
        good = "known"
    else:
        notes[:0] = [f"client: {name}: {text}" for name, text in complaints]
        if fault and not notes:
            notes.append(f"passes, where the front is known not to: {fault.reason}")
    kind = "late" if is_late and len(notes) == 1 else "failed" if notes else good
    return Outcome(kind, notes, f"{front_stage.front.name}, {fault.reason}" if fault else "")


def greet(front_stage, port_name):
    """A ClientHello as SSL 2.0 wrote it, in which OpenSSL before 1.0 offers TLS 1.0: that must be agreed on."""
    suites = b"".join(b"\0" + struct.pack(">H", suite) for suite in (0x002F, 0x0035, 0x000A))
    hello = b"\x01\x03\x01" + struct.pack(">HHH", len(suites), 0, 32) + suites + os.urandom(32)
    try:
        with contextlib.closing(Wire(front_stage.ports[port_name], "127.0.0.1", SETTLE_SECONDS)) as wire:
            wire.send(struct.pack(">H", 0x8000 | len(hello)) + hello)
            answer = wire.exactly(6)
    except Broken as problem:
        return Outcome("failed", [f"client: {problem}"])
    # A record of TLS 1.0 with a ServerHello.
    is_answered = answer[:3] == b"\x16\x03\x01" and answer[5] == 2
    return Outcome("passed") if is_answered else Outcome("failed", [f"client: answered {answer!r}"])


def converse(client, messages, said, heard):
    """`said` and `heard` are filled as it goes on, so that they tell how far it came."""
    first, short, long = messages[0], messages[1:-1], messages[-1]
    said.append(first)
    is_sent = client.open(first)
    heard.append(client.receive())  # the backend's greeting
    if not is_sent:
        client.send(first)
    elif not client.wire.comes_within(KEPT_BACK_SECONDS):
        client.complain("kept back", "what came with the head is kept back until more comes")
    said += short
    for message in short:
        client.send(message)
    heard += [client.receive() for _ in (first, *short)]
    said.append(long)
    client.send(long)
    heard.append(client.receive())


def browse(browser, messages, said, heard):
    with contextlib.closing(browser):
        browser.open()
        heard.append(browser.receive())
        for message in messages:
            said.append(message)
            browser.send(message)
            heard.append(browser.receive())


class Plan:
    def __init__(self, front_stage, port_name, upstream, dialect, segments, number):
        self.ident = f"{number}-{secrets.token_hex(4)}"
        # Of its own, so that nobody else's can be told in its place.
        self.address = f"127.77.{number // 250 + 1}.{number % 250 + 1}"
        self.scheme = "ws" if port_name == "plain" else "wss"
        # Not the front's port, as where a firewall maps them; and sometimes the usual one, which is left out.
        self.host = NAME if segments == "whole" else f"{NAME}:8{number % 1000:03}"
        # Some clients say the usual port, too, and expect it back.
        if segments == "bytes":
            self.host = f"{NAME}:{80 if self.scheme == 'ws' else 443}"
        # What fronts like to write otherwise.
        self.target = f"/{upstream.name}/a%2Fb//c%20d%7e/?id={self.ident}&x=%E4%BD%A0+1"
        self.url = f"{self.scheme}://{self.host}{self.target}"
        self.protocol = "chat" if segments == "two" and not upstream.is_stream else None
        # A front that waits for the next event does not see a browser leave before it writes that.
        self.closed = None if dialect == clients.HTTP else upstream.closed(dialect)
        if segments == "leaves":
            self.closed = "4321"
        self.told = expected_headers(front_stage.front, self)
        rest = (1, 124, 125, 126, 65_536, 70_000)
        self.messages = [text_of(17), *(text_of(length) for length in rest)]

    def differences(self, records, said, heard):
        """Where the ends did not see the same."""
        if not records:
            yield "backend: nothing at all of this connection"
            return
        of = {event: [record for record in records if record["event"] == event]
              for event in ("open", "heard", "said", "close", "error")}
        for error in of["error"]:
            yield f"backend: {error['message']}"
        if [record["target"] for record in of["open"]] != [self.target]:
            yield f"backend: target: expected {self.target}, saw {[record['target'] for record in of['open']]}"
        headers = of["open"][0]["headers"] if of["open"] else []
        for name, expected in self.told.items():
            values = [value for field, value in headers if field == name]
            if values != expected:
                yield f"backend: {name}: expected {expected}, saw {values}"
        yield from compare("backend heard", [("text", *seen(text)) for text in said],
                           [(record["type"], record["length"], record["sha1"]) for record in of["heard"]])
        yield from compare("client heard", [(record["length"], record["sha1"]) for record in of["said"]],
                           [seen(text) for text in heard])
        if len(heard) != len(self.messages) + 1:
            yield f"client: heard {len(heard)} of {len(self.messages) + 1} messages"
        # An answer repeats the code; whether the reason, too, is a matter of taste.
        closed = [record["how"].removesuffix(" so long") for record in of["close"]]
        if self.closed and closed != [self.closed]:
            yield f"backend: close: expected {self.closed}, saw {closed}"


def expected_headers(front, plan):
    """What the backend must be told, header by header."""
    proto = "https" if plan.scheme == "wss" else "http"
    host = f'"{plan.host}"' if ":" in plan.host else plan.host
    told = {
        "host": [plan.host], "origin": [clients.ORIGIN], "cookie": ["sid=a1"],
        "x-forwarded-for": [plan.address],
        "x-forwarded-proto": [proto],
        "x-forwarded-host": [plan.host],
        "x-forwarded-port": [],
        "x-real-ip": [],
        "forwarded": [f"for={plan.address};host={host};proto={proto}"],
    }
    if front.is_hop:
        told["x-forwarded-for"][0] += ", 127.0.0.1"
        told["forwarded"][0] += f", for=127.0.0.1;host={host};proto=http"
    return told


def text_of(length):
    """Text of so many bytes that was never said before."""
    if length < 30:
        # No blank: better-sse writes none before data, so that one at its start would be taken for it.
        return secrets.token_hex(length)[:length]
    if length == 65_536:
        return secrets.token_hex(length // 2)
    text = secrets.token_hex(8)
    alphabet = random.choice(ALPHABETS)
    text += "".join(random.choices(alphabet, k=(length - 16) // len(alphabet[-1].encode())))
    return text + "." * (length - len(text.encode()))


def seen(text):
    data = text.encode()
    return len(data), hashlib.sha1(data).hexdigest()


def compare(what, expected, found):
    for number, (wanted, got) in enumerate(zip(expected, found)):
        if wanted != got:
            yield f"{what}: message {number + 1}: expected {wanted}, saw {got}"
            return
    if len(expected) != len(found):
        yield f"{what}: expected {len(expected)} messages, saw {len(found)}"
