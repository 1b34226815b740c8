"""The clients and the backends, and what is particular to each: rows of facts, nothing else."""

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Callable

import tools
from tools import INTEROP

ORIGIN = "http://app.example:8080"
NODE_PATH = {"NODE_PATH": str(tools.MODULES)}


@dataclass(frozen=True)
class Program:
    """A program ready to be run."""

    version: str
    command: tuple
    env: dict = field(default_factory=dict)


# How connections end -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Close:
    """One ending: what the backend sees of it, and what the client tells its application."""

    backend: str  # code and reason; 1005 is a close frame without a code, 1006 no close frame
    client: str  # the driver's word for it; empty where the application is told nothing


@dataclass(frozen=True)
class Closes:
    coded: Close  # the client closes with 4001 "done", if it can
    bare: Close  # the client closes without a code, if it can
    answered: Close  # the backend closes with 4321 "so long"; its own word is the code it has for an answer

    def untold(self):
        return Closes(*(replace(close, client="") for close in (self.coded, self.bare, self.answered)))


# Whatever the client sends travels through.
HYBI = Closes(
    coded=Close("4001 done", "4001 done"), bare=Close("1005", "1005"), answered=Close("4321", "4321 so long")
)
# hixie-76 has a closing frame, FF 00, without a code. hybridge answers the backend's close itself.
FF00 = Closes(coded=Close("1000", "ff00"), bare=Close("1000", "ff00"), answered=Close("4321", "ff00"))
# hixie-75 has none: its close is the end of TCP. So is that of the hixie-76 browsers.
FIN = Closes(coded=Close("1001", "fin"), bare=Close("1001", "fin"), answered=Close("4321", "fin"))

# Clients -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    name: str
    title: str
    dialect: str
    install: Callable[[], Program]
    closes: Closes
    origin: str = ORIGIN  # what reaches the backend; {host} is the address that was dialled
    query: bool = True  # it sends the query of a URL
    cookies: bool = True
    binary: bool = True
    longest: int = 100 * 1024  # bytes of the longest message it can take
    extension: str = ""  # agreed on between client and backend


def driver(name):
    return INTEROP / "clients" / name


def perl(dialect):
    version = tools.perl_protocol_websocket()
    return Program(version, ("perl", driver("protocol_websocket.pl"), dialect))


def ruby(dialect):
    program, version = tools.ruby_websocket()
    return Program(version, (program, driver("websocket_gem.rb"), dialect))


def netty(dialect):
    class_path, version = tools.netty()
    # It lives for a second: neither the second compiler nor a parallel collector pays.
    java = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", class_path)
    return Program(version, (*java, "NettyClient", dialect))


def phantomjs(version, dialect):
    program, environment, full_version = tools.phantomjs(version, driver("phantomjs.js"))
    return Program(full_version, (program, driver("phantomjs.js"), dialect), environment)


def old_node(package, file, dialect):
    version = tools.npm_version(package)
    return Program(version, (tools.node_0_10(), driver(file), dialect), NODE_PATH)


def websocket_client_py():
    version = tools.pip_version("requirements-2.7.txt", "websocket-client")
    command = (tools.python2(), "-B", driver("websocket_client.py"), "76")
    return Program(version, command, {"PYTHONPATH": str(tools.pip_packages("requirements-2.7.txt"))})


def ws(variant):
    return Program(tools.npm_version("ws"), (tools.node(), driver("ws.js"), variant), NODE_PATH)


def python():
    return (sys.executable, "-B")


CLIENTS = (
    Client("phantomjs-1.9", "PhantomJS", "hixie-76", partial(phantomjs, "1.9", "76"), FIN.untold(), binary=False),
    Client("phantomjs-2.1", "PhantomJS", "v13", partial(phantomjs, "2.1", "13"),
           # It answers a close with an empty one.
           replace(HYBI, answered=Close("1005", "4321 so long"))),
    Client("perl-75", "Protocol::WebSocket", "hixie-75", partial(perl, "75"), FIN, binary=False),
    Client("perl-76", "Protocol::WebSocket", "hixie-76", partial(perl, "76"), FF00, binary=False),
    Client("perl-8", "Protocol::WebSocket", "v8", partial(perl, "8"), HYBI),
    Client("perl-13", "Protocol::WebSocket", "v13", partial(perl, "13"), HYBI),
    Client("ruby-75", "gem websocket", "hixie-75", partial(ruby, "75"), FIN, binary=False),
    # It knows no close without a code.
    Client("ruby-7", "gem websocket", "v7", partial(ruby, "7"), replace(HYBI, bare=Close("1000", "1000"))),
    Client("ruby-8", "gem websocket", "v8", partial(ruby, "8"), replace(HYBI, bare=Close("1000", "1000"))),
    Client("websocket-client-js", "npm websocket-client", "hixie-76",
           partial(old_node, "websocket-client", "websocket-client.js", "76"),
           FF00.untold(), binary=False, cookies=False),
    Client("websocket-client-py", "PyPI websocket-client", "hixie-76", websocket_client_py,
           replace(FF00.untold(), answered=FF00.answered), origin="{host}", query=False, binary=False),
    # As hixie-76 it loses a message that arrives in two reads.
    Client("netty-76", "Netty", "hixie-76", partial(netty, "76"), FF00, origin="http://{host}", binary=False,
           longest=8 * 1024),
    Client("netty-7", "Netty", "v7", partial(netty, "7"), HYBI, origin="http://{host}"),
    Client("netty-8", "Netty", "v8", partial(netty, "8"), HYBI, origin="http://{host}"),
    Client("netty-13", "Netty", "v13", partial(netty, "13"), HYBI, origin="http://{host}"),
    Client("websocket-node-8", "npm websocket", "v8", partial(old_node, "websocket", "websocket-node.js", "8"),
           # It closes, and answers a close, with 1000 whatever it is told.
           Closes(coded=Close("1000", "1000 Normal connection closure"),
                  bare=Close("1000", "1000 Normal connection closure"),
                  answered=Close("1000", "4321 so long"))),
    Client("ws-0.4-8", "npm ws", "v8", partial(old_node, "ws-0.4", "ws-0.4.js", "8"),
           replace(HYBI, bare=Close("1000", "1000"))),
    Client("ws-13", "npm ws", "v13", partial(ws, "13"), HYBI),
    Client("ws-13-deflate", "npm ws", "v13", partial(ws, "13-deflate"), HYBI, extension="permessage-deflate"),
)

# Backends ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backend:
    name: str
    title: str
    install: Callable[[], Program]
    blind: tuple = ()  # what it cannot see


def ws_backend():
    return Program(tools.npm_version("ws"), (tools.node(), INTEROP / "backends" / "ws.js"), NODE_PATH)


def websockets_backend():
    version = tools.pip_version("requirements.txt", "websockets")
    command = (sys.executable, INTEROP / "backends" / "websockets_server.py")
    return Program(version, command, {"PYTHONPATH": str(tools.pip_packages("requirements.txt"))})


def reference_server():
    version = tools.npm_version("websocket-driver")
    return Program(version, (tools.node_0_10(), INTEROP / "reference" / "server.js"), NODE_PATH)


BACKENDS = (
    Backend("ws", "npm ws", ws_backend),
    Backend("websockets", "Python websockets", websockets_backend),
)

# Its library knows no extensions, hixie no pongs, and the one for the other makes up codes for closes that have none.
REFERENCE = Backend("reference", "npm websocket-driver", reference_server, blind=("pongs", "closed", "extensions"))
