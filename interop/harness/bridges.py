"""Bridges from old clients to today's upstreams, made of other authors' codecs: what hybridge is compared with."""

import re
from dataclasses import dataclass

import catalog
import tools
from processes import Child
from stage import START_SECONDS, CannotStart


@dataclass(frozen=True)
class Bridge:
    """Where a bridge comes from, and which dialects its codecs speak, as `hybridge dial` calls them."""

    name: str
    title: str
    install: callable
    dialects: tuple


def _javascript(name, package):
    version = tools.npm_version(package)
    return catalog.Program(version, (tools.node(), tools.INTEROP / "reference" / name), catalog.NODE_PATH)


def _websocket_driver():
    return _javascript("bridge-websocket-driver.js", "websocket-driver")


def _ws():
    return _javascript("bridge-ws.js", "ws")


def _protocol_websocket():
    version = tools.perl_protocol_websocket()
    return catalog.Program(version, ("perl", tools.INTEROP / "reference" / "bridge-protocol-websocket.pl"))


ALL = ("75", "76", "7", "8", "13")

BRIDGES = (
    Bridge("bridge-websocket-driver", "websocket-driver bridge", _websocket_driver, ALL),
    Bridge("bridge-protocol-websocket", "Protocol::WebSocket bridge", _protocol_websocket, ALL),
    Bridge("bridge-ws", "ws bridge", _ws, ("8", "13")),
)


class Running:
    """A bridge at work, on `port`, in front of a port of this machine."""

    def __init__(self, bridge, upstream_port, folder):
        program = bridge.install()
        command = (*program.command, "0", str(upstream_port))
        self._child = Child(command, folder / f"{bridge.name}.stderr", program.env)
        self._child.wait_for(self._announced, START_SECONDS)
        self.port = self._announced()
        if not self.port:
            raise CannotStart(f"{bridge.name} announces no port: {self._child.complaint()}")
        self.address = f"127.0.0.1:{self.port}"

    def _announced(self):
        for _, line in self._child.lines:
            if found := re.fullmatch(r"listening on (\d+)", line):
                return int(found[1])
        return None

    def trouble(self):
        return None if self._child.is_running() else f"the bridge has died: {self._child.complaint()}"

    def stop(self):
        self._child.kill()
