"""`hybridge dial` at servers of other authors: what both ends saw of every dialect that each server speaks."""

import time
from dataclasses import dataclass, replace

import bridges
import catalog
import rows
import scenarios
import stage
import tools
from catalog import Close, Closes

TLS_NAME = "tv.example"


@dataclass(frozen=True)
class Server:
    backend: catalog.Backend
    dialects: tuple  # as dial calls them
    tls: bool = False
    bridge: bridges.Bridge = None  # the server is reached through it


@dataclass(frozen=True)
class Known:
    """A fault of the server's own. It is counted by itself, and asked for: should it be gone, its row fails."""

    said: str  # found in every scenario
    reason: str


# Binary without line ends: each line of stdin is a message.
_BYTES = bytes(byte for byte in range(256) if byte != 0x0A)

TALK = replace(
    scenarios.TALK,
    spoken=(*scenarios.TALK.spoken, scenarios.text("é ✓ 😀 " * 8000)),
    long=False,
    binary=(),
    close="bare",
)
BINARY = replace(
    scenarios.TALK,
    name="binary",
    spoken=(),
    long=False,
    binary=(scenarios.Message("binary", _BYTES), scenarios.Message("binary", _BYTES * 400),
            scenarios.Message("binary", b"")),
    burst=(),
    close="bare",
)

# dial closes with 1000, where its dialect has codes.
HYBI = Closes(coded=Close("", ""), bare=Close("1000", "1000"), answered=Close("4321", "4321 so long"))
FF00 = replace(HYBI, bare=Close("1000", "ff00"), answered=Close("1000", "ff00"))
FIN = replace(HYBI, bare=Close("1001", "fin"), answered=Close("1000", "fin"))

DIALECTS = {
    "75": ("hixie-75", FIN),
    "76": ("hixie-76", FF00),
    "7": ("v7", HYBI),
    "8": ("v8", HYBI),
    "13": ("v13", HYBI),
}

# Without binary messages and pongs.
HIXIE = ("75", "76")


def protocol_websocket_server():
    version = tools.perl_protocol_websocket()
    return catalog.Program(version, ("perl", tools.INTEROP / "reference" / "protocol_websocket_server.pl"))


def ws_with_tls():
    program = catalog.ws_backend()
    key, certificate = tools.certificate(TLS_NAME)
    return replace(program, env={**program.env, "TLS_KEY": str(key), "TLS_CERTIFICATE": str(certificate)})


SERVERS = (
    Server(
        catalog.Backend("websocket-driver", "npm websocket-driver", catalog.reference_server),
        tuple(DIALECTS),
    ),
    Server(
        catalog.Backend("protocol-websocket", "Protocol::WebSocket", protocol_websocket_server),
        tuple(DIALECTS),
    ),
    Server(catalog.Backend("ws", "npm ws", catalog.ws_backend), ("8", "13")),
    Server(catalog.Backend("ws-tls", "npm ws, wss", ws_with_tls), ("8", "13"), tls=True),
    Server(catalog.Backend("websockets", "Python websockets", catalog.websockets_backend), ("13",)),
    *(Server(catalog.Backend(bridge.name, bridge.title, catalog.ws_backend), bridge.dialects, bridge=bridge)
      for bridge in bridges.BRIDGES),
)

KNOWN = {
    ("protocol-websocket", "75"): Known(
        "changed the three fixed first lines",
        "it answers `101 WebSocket Protocol Handshake`, the line of hixie-76; every hixie-75 browser refuses that",
    ),
}


def choose(beginnings):
    """The server and dialect of each row whose name, dial-DIALECT, begins so."""
    for server in SERVERS:
        for dialect in server.dialects:
            if not beginnings or f"dial-{dialect}".startswith(tuple(beginnings)):
                yield server, dialect


def plays(dialect):
    return (TALK, *(() if dialect in HIXIE else (BINARY,)), scenarios.CHAT, scenarios.FAREWELL)


def run(chosen, hybridge, folder, keep_all, totals):
    """Performs and prints the rows, and adds to the totals."""
    # Everything is installed before anything is run.
    lanes = {server.backend.name: _open(server, folder) for server in dict.fromkeys(server for server, _ in chosen)}
    print(f"\n{'hybridge dial':<22}{'dialect':<10}{'server':<36}")
    runner = stage.Runner(folder, keep_all)
    known = 0
    for server, dialect in chosen:
        lane = lanes[server.backend.name]
        cell, is_known = _perform(server, dialect, lane, hybridge, runner)
        print(f"{'dial-' + dialect:<22}{DIALECTS[dialect][0]:<10}{lane.title:<36}{'known fault' if is_known else cell}")
        for note in cell.notes:
            print(f"    {note}")
        known += is_known
        for kind in totals:
            totals[kind] += getattr(cell, kind)
    for lane in lanes.values():
        lane.stop()
    if known:
        print(f"faults of servers, known and counted neither as passed nor as failed: {known}")


def _open(server, folder):
    named = replace(server.backend, name=f"dial-{server.backend.name}")
    try:
        bridge = server.bridge
        front = bridge and (lambda upstream: bridges.Running(bridge, upstream.rsplit(":", 1)[1], folder))
        lane = stage.Lane(named, server.backend.install(), front, folder)
        if bridge:
            lane.title = f"{bridge.title} {bridge.install().version}"
        return lane
    except tools.Missing as reason:
        return stage.ClosedLane(named, str(reason), is_missing=True)
    except (tools.Broken, stage.CannotStart) as reason:
        return stage.ClosedLane(named, str(reason), is_missing=False)


def _perform(server, dialect, lane, hybridge, runner):
    scenes = plays(dialect)
    if isinstance(lane, stage.ClosedLane):
        count = dict(skipped=len(scenes)) if lane.is_missing else dict(failed=len(scenes))
        return rows.Cell(notes=[lane.reason], **count), False
    name, closes = DIALECTS[dialect]
    more = ()
    if server.tls:
        more = (f"tls {tools.certificate(TLS_NAME)[1]}", f"name {TLS_NAME}")
    client = catalog.Client(f"dial-{dialect}", "hybridge dial", name, None, closes, binary=dialect not in HIXIE)
    # What the server is called by who dials it.
    host = lane.address.replace("127.0.0.1", TLS_NAME) if server.tls else lane.backend.address
    program = catalog.Program("", (*catalog.python(), tools.INTEROP / "clients" / "dial.py", dialect, hybridge))
    # The ping ends at a bridge, whose library answers it.
    lane.blind = ("pongs",) if dialect in HIXIE and not server.bridge else ()
    started = time.monotonic()
    differences, folder = runner.run(client, program, lane, scenes, more=more, host=host)
    failed = {scene: found for scene, found in differences.items() if found}
    cell = rows.Cell(passed=len(scenes) - len(failed), failed=len(failed), seconds=time.monotonic() - started)
    fault = KNOWN.get((server.backend.name, dialect))
    if fault:
        if len(failed) == len(scenes) and all(any(fault.said in line for line in found) for found in failed.values()):
            return rows.Cell(notes=[fault.reason]), True
        cell = rows.Cell(failed=len(scenes), notes=[f"not as known: {fault.said}"])
    for scene, found in failed.items():
        cell.notes += [f"{scene}:", *(f"  {difference}" for difference in found)]
    if failed:
        cell.notes.append(f"see {folder.relative_to(tools.ROOT)}")
    if lane.trouble():
        cell.notes.append(lane.trouble())
    return cell, False
