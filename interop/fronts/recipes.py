"""The fronts: each recipe of examples/, with ports and paths of this run put in, before a hybridge of its own."""

import os
import random
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import tools
from processes import Child

EXAMPLES = tools.ROOT / "examples"
NAME = "tv.example"  # of the server, as devices call it
START_SECONDS = 20
AS_ROOT = os.geteuid() == 0


class CannotStart(Exception):
    pass


@dataclass(frozen=True)
class Fault:
    """What a front itself does wrong to a dialect."""

    complaints: tuple  # the names of what a strict client finds
    reason: str


@dataclass(frozen=True)
class Front:
    name: str
    recipe: str = ""  # its folder in examples/
    file: str = ""
    program: tuple = ()  # its name and Debian's package
    ask_version: tuple = ("-v",)
    ports: tuple = ("plain",)  # what its recipe listens on: plain, tls, and inner ones that nobody dials
    prepare: Callable = None
    also: Callable = None  # installs more
    is_hop: bool = False  # it names clients by X-Forwarded-For, and so is one of those whom backends are told of
    tells_tls: bool = True  # it tells hybridge which clients came by TLS; else public_url does
    faults: dict = field(default_factory=dict)  # by dialect and segments, None for all

    def fault(self, dialect, segments):
        return self.faults.get((dialect, segments)) or self.faults.get((dialect, None))


# What the recipes say, and what stands there in a run -----------------------------------------------------------------


def put(text, values, where):
    """Puts the run's values in the place of the recipe's, each of which is there; no other port or path is left."""
    rest = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith(("#", ";")))
    for word, value in values.items():
        if word not in rest:
            raise CannotStart(f"{where} does not say {word!r}")
        text, rest = text.replace(word, value), rest.replace(word, "")
    if left := re.search(r".*(/etc/|/run/|/var/|:(80|443|8080|8443|9000)\b).*", rest):
        raise CannotStart(f"{where} names a place that is not put in: {left[0].strip()}")
    return text


def nginx(front, stage):
    recipe = stage.write(front.file, put(stage.recipe(), {
        "listen 80;": f"listen 127.0.0.1:{stage.ports['plain']};",
        "listen 443 ssl;": f"listen 127.0.0.1:{stage.ports['tls']} ssl;",
        "/etc/ssl/tv.example/fullchain.pem": str(stage.certificates.front[0]),
        "/etc/ssl/tv.example/privkey.pem": str(stage.certificates.front[1]),
        "127.0.0.1:8080": f"127.0.0.1:{stage.ports['hybridge']}",
    }, front.recipe))
    temporary = "\n".join(f"{kind}_temp_path {stage.folder};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    http = f"http {{\naccess_log {stage.folder}/access.log;\n{temporary}\ninclude {recipe};\n}}\n"
    return nginx_options(stage, http)


def nginx_stream(front, stage):
    recipe = put(stage.recipe(), {
        "listen 80;": f"listen 127.0.0.1:{stage.ports['plain']};",
        "127.0.0.1:8080": f"127.0.0.1:{stage.ports['hybridge']}",
    }, front.recipe)
    module = stream_module()
    return nginx_options(stage, recipe, f"load_module {module};\n" if module else "")


def nginx_options(stage, server, load=""):
    # One process, which dies with the run.
    text = f"{load}daemon off;\nmaster_process off;\npid {stage.folder}/pid;\nerror_log stderr;\nevents {{}}\n{server}"
    return ("-e", "stderr", "-p", stage.folder, "-c", stage.write("nginx.conf", text))


def stream_module():
    """nginx's module of that name, unless it is built in."""
    program, environment = tools.server("nginx", "nginx-light")
    built = subprocess.run([program, "-V"], capture_output=True, text=True, env={**os.environ, **environment}).stderr
    if "--with-stream" in built and "--with-stream=dynamic" not in built:
        return None
    name = "usr/lib/nginx/modules/ngx_stream_module.so"
    installed = Path("/") / name
    return installed if installed.exists() else tools.unpacked("libnginx-mod-stream") / name


def apache(front, stage):
    recipe = stage.write(front.file, put(stage.recipe(), {
        "<VirtualHost *:80>": f"<VirtualHost *:{stage.ports['plain']}>",
        "<VirtualHost *:443>": f"<VirtualHost *:{stage.ports['tls']}>",
        "/etc/ssl/tv.example/fullchain.pem": str(stage.certificates.front[0]),
        "/etc/ssl/tv.example/privkey.pem": str(stage.certificates.front[1]),
        "127.0.0.1:8080": f"127.0.0.1:{stage.ports['hybridge']}",
    }, front.recipe))
    modules = next(folder for folder in (stage.program.parents[1] / "lib/apache2/modules", "/usr/lib/apache2/modules")
                   if os.path.isdir(folder))
    names = "mpm_event authz_core headers macro proxy proxy_http proxy_wstunnel rewrite socache_shmcb ssl"
    lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names.split()]
    lines += [f"Listen 127.0.0.1:{stage.ports[port]}" for port in ("plain", "tls")]
    lines += [f"ServerRoot {stage.folder}", f"DefaultRuntimeDir {stage.folder}", f"PidFile {stage.folder}/pid",
              "ErrorLog /dev/stderr", f"ServerName {NAME}", "LogLevel warn"]
    if AS_ROOT:
        lines += ["User nobody", "Group nogroup"]
    main = stage.write("apache2.conf", "\n".join([*lines, f"Include {recipe}", ""]))
    return ("-X", "-f", main)


def haproxy(front, stage):
    values = {}
    if "plain" in stage.ports:
        values |= {"bind :80": f"bind 127.0.0.1:{stage.ports['plain']}"}
    elif "old" in stage.ports:
        values |= {"bind 127.0.0.1:8443": f"bind 127.0.0.1:{stage.ports['old']}"}
    else:
        values |= {"bind :443": f"bind 127.0.0.1:{stage.ports['tls']}"}
    if "plain" not in stage.ports:
        values |= {"/etc/haproxy/tv.example.pem": str(stage.certificates.front[2])}
    values |= {"127.0.0.1:8080": f"127.0.0.1:{stage.ports[stage.backdoor]}"}
    return ("-db", "-f", stage.write(front.file, put(stage.recipe(), values, front.recipe)))


def varnish(front, stage):
    recipe = put(stage.recipe(), {'.port = "8080"': f'.port = "{stage.ports["hybridge"]}"'}, front.recipe)
    return ("-F", "-j", "none", "-n", stage.folder / "work", "-T", "none", "-s", "malloc,16m",
            "-p", "pipe_timeout=7200", "-p", "thread_pool_min=20", "-a", f"127.0.0.1:{stage.ports['plain']}",
            "-f", stage.write(front.file, recipe))


def hitch(front, stage):
    values = {
        "/etc/hitch/tv.example.pem": str(stage.certificates.front[2]),
        "[127.0.0.1]:8080": f"[127.0.0.1]:{stage.ports[stage.backdoor]}",
        'user = "_hitch"': 'user = "nobody"' if AS_ROOT else "",
        'group = "_hitch"': 'group = "nogroup"' if AS_ROOT else "",
    }
    if "old" in stage.ports:
        values |= {"[127.0.0.1]:8443": f"[127.0.0.1]:{stage.ports['old']}"}
    else:
        values |= {"[*]:443": f"[127.0.0.1]:{stage.ports['tls']}"}
    return ("--config", stage.write(front.file, put(stage.recipe(), values, front.recipe)))


def stunnel(front, stage):
    recipe = put(stage.recipe(), {
        "pid = /run/stunnel-hybridge.pid": f"pid = {stage.folder}/pid\nforeground = yes",
        "accept = 443": f"accept = 127.0.0.1:{stage.ports['tls']}",
        "127.0.0.1:8080": f"127.0.0.1:{stage.ports['hybridge']}",
        "/etc/stunnel/tv.example/fullchain.pem": str(stage.certificates.front[0]),
        "/etc/stunnel/tv.example/privkey.pem": str(stage.certificates.front[1]),
    }, front.recipe)
    return (stage.write(front.file, recipe),)


BOTH = ("plain", "tls")
FRONTS = (
    Front("none"),
    Front("nginx", "nginx", "hybridge.conf", ("nginx", "nginx-light"), ports=BOTH, prepare=nginx, is_hop=True,
          faults={("hixie-75", None): Fault(
              ("first lines",), "hixie-75: writes Server and Date between the first lines of the answer, whatever is set: "
                                "strict clients leave")}),
    Front("nginx stream", "nginx-stream", "hybridge.conf", ("nginx", "nginx-light"), prepare=nginx_stream,
          also=stream_module),
    Front("Apache", "apache", "hybridge.conf", ("apache2", "apache2-bin"), ports=BOTH, prepare=apache, is_hop=True,
          faults={("hixie-75", "frame"): Fault(
              ("kept back",), "hixie-75: keeps back what comes with the request until more comes; no such client sends "
                              "any")}),
    Front("HAProxy", "haproxy", "haproxy.cfg", ("haproxy", "haproxy"), prepare=haproxy),
    Front("Varnish", "varnish", "default.vcl", ("varnishd", "varnish"), ("-V",), prepare=varnish),
    Front("hitch", "hitch", "hitch.conf", ("hitch", "hitch"), ("--version",), ("tls",), hitch),
    Front("stunnel", "stunnel", "stunnel.conf", ("stunnel", "stunnel4"), ("-version",), ("tls",), stunnel,
          tells_tls=False),
)
OLD = (
    Front("hitch", "old-tls-hitch", "hitch.conf", ("hitch", "hitch"), ("--version",), ("tls",), hitch),
    Front("HAProxy", "old-tls-haproxy", "haproxy.cfg", ("haproxy", "haproxy"), ("-v",), ("tls",), haproxy),
    Front("stunnel", "old-tls-stunnel", "stunnel.conf", ("stunnel", "stunnel4"), ("-version",), ("tls",), stunnel,
          tells_tls=False),
    Front("one port, HAProxy", "one-port-haproxy", "haproxy.cfg", ("haproxy", "haproxy"), ("-v",),
          ("tls", "old", "inner"), haproxy),
    Front("one port, hitch", "one-port-hitch", "hitch.conf", ("hitch", "hitch"), ("--version",),
          ("tls", "old", "inner"), hitch, tells_tls=False),
)


# A front at work ------------------------------------------------------------------------------------------------------


class Certificates:
    """Two of one name: the fronts' and hybridge's own, each as chain, key, and both in one file."""

    def __init__(self, folder):
        self.front = self._make(folder / "front")
        self.own = self._make(folder / "own")

    @staticmethod
    def _make(folder):
        folder.mkdir()
        chain, key, both = folder / "fullchain.pem", folder / "privkey.pem", folder / "both.pem"
        tools.self_signed(NAME, key, chain)
        both.write_bytes(chain.read_bytes() + key.read_bytes())
        return chain, key, both

    @staticmethod
    def raw(files):
        """As a client sees it."""
        return ssl.PEM_cert_to_DER_cert(files[0].read_text())


class Stage:
    """A front and its hybridge, both at work: `ports` has what clients dial, by name."""

    def __init__(self, front, hybridge, upstreams, folder, certificates):
        self.front, self.folder, self.certificates = front, folder, certificates
        folder.mkdir()
        self.program, environment = tools.server(*front.program) if front.program else (None, {})
        self.version = self._ask_version(environment) if front.program else ""
        # Fronts cannot choose a port and say which. Nobody else is given one of these by chance.
        names = front.ports if "inner" in front.ports else (*front.ports, "hybridge")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.backdoor = names[-1]  # where the front brings connections
        self.children = []
        try:
            self._start("hybridge", (hybridge, "serve", "-c", self._hybridge(upstreams)))
            if front.prepare:
                self._start(front.program[0], (self.program, *front.prepare(front, self)), environment)
            else:
                self.ports["plain"] = self.ports["hybridge"]
        except BaseException:
            self.stop()
            raise

    def _ask_version(self, environment):
        done = subprocess.run([self.program, *self.front.ask_version], capture_output=True, text=True,
                              env={**os.environ, **environment})
        found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
        return found[0] if found else "?"

    def recipe(self, file=None):
        return (EXAMPLES / self.front.recipe / (file or self.front.file)).read_text()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def _hybridge(self, upstreams):
        """The recipe's hybridge.toml, with its route once for each upstream."""
        text = self.recipe("hybridge.toml") if self.front.recipe else NO_FRONT
        values = {"127.0.0.1:8080": f"127.0.0.1:{self.ports[self.backdoor]}"}
        if "inner" in self.ports:
            values |= {"0.0.0.0:443": f"127.0.0.1:{self.ports['tls']}",
                       "127.0.0.1:8443": f"127.0.0.1:{self.ports['old']}",
                       "/etc/hybridge/fullchain.pem": str(self.certificates.own[0]),
                       "/etc/hybridge/privkey.pem": str(self.certificates.own[1])}
        head, route = text.split("[[route]]\n")
        head = put(head, values, f"{self.front.recipe}/hybridge.toml")
        routes = [put(route, {'name = "devices"\n': f'name = "{upstream.name}"\npath = "/{upstream.name}"\n',
                              '"ws://127.0.0.1:9000"\n': f'"{upstream.url}"\n{upstream.more}'}, self.front.recipe)
                  for upstream in upstreams]
        return self.write("hybridge.toml", head + "".join(f"[[route]]\n{route}" for route in routes))

    def _start(self, name, command, environment=None):
        self.children.append((name, Child(command, self.folder / f"{name}.log", environment)))

    def wait(self):
        """Until everything listens."""
        deadline = time.monotonic() + START_SECONDS
        for port in self.ports.values():
            while True:
                for name, child in self.children:
                    if not child.is_running():
                        raise CannotStart(f"{name} does not start: {self.complaint(name, child)}")
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise CannotStart(f"nobody listens on port {port}") from None
                    time.sleep(0.05)

    @staticmethod
    def complaint(name, child):
        said = [line for _, line in child.lines]
        return said[-1] if name == "hybridge" and said and child.complaint() == "without a word" else child.complaint()

    def trouble(self):
        dead = [(name, child) for name, child in self.children if not child.is_running()]
        return [f"{name} has ended: {self.complaint(name, child)}" for name, child in dead]

    def stop(self):
        for _, child in self.children:
            child.kill()


NO_FRONT = """\
listen = ["127.0.0.1:8080"]

[[route]]
name = "devices"
upstream = "ws://127.0.0.1:9000"
"""


def free_ports(count):
    """Below those that the kernel gives to whoever asks for any."""
    sockets = []
    while len(sockets) < count:
        candidate = socket.socket()
        # What a run before this one has closed is free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", random.randint(15000, 32000)))
            sockets.append(candidate)
        except OSError:
            candidate.close()
    ports = [candidate.getsockname()[1] for candidate in sockets]
    for candidate in sockets:
        candidate.close()
    return ports
