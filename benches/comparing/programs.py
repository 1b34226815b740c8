"""What is measured and what measures: the proxies with their settings, and our own load."""
import json
import os
import select
import socket
import time

from .machine import Failed, Process, free_port, until

DIALECTS = ("hixie-76", "hixie-75", "v8", "v13")
# More than any row opens.
MOST_CONNECTIONS = 9_100

HAPROXY = """\
global
  nbthread {threads}
  maxconn {most}
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port}{tls}
  default_backend back
backend back
  server only 127.0.0.1:{upstream}
"""

NGINX = """\
daemon off;
worker_processes {threads};
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{tls}{reuseport};
    {certificate}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
      {headers}
    }}
  }}
}}
"""
UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
# nginx would gather events until a buffer is full; whoever sends events turns that off.
EVENTS = 'proxy_set_header Connection ""; proxy_buffering off;'


class Tools:
    """Where programs and their files lie."""

    def __init__(self, hybridge, load, folder):
        self.hybridge, self.load, self.folder = hybridge, load, folder
        self.numbers = 0

    def place(self, name):
        """A fresh folder."""
        self.numbers += 1
        path = os.path.join(self.folder, f"{self.numbers}-{name}")
        os.makedirs(path)
        return path

    def certificate(self, name):
        return os.path.join(self.folder, name)


class Proxy:
    """A proxy at work. `kind` is haproxy, nginx, floor or hybridge."""

    def __init__(self, tools, kind, upstream, on=None, threads=1, tls=False, events=False, wrap=(),
                 listening=True):
        self.port, self.kind = free_port(), kind
        self.folder = tools.place(kind)
        command = {
            "haproxy": self.haproxy, "nginx": self.nginx, "floor": self.floor, "hybridge": self.hybridge,
        }[kind](tools, upstream, threads, tls, events)
        self.process = Process([*wrap, *command], os.path.join(self.folder, "log"), on)
        if not listening:
            return
        try:
            until(f"{kind} listens", 60, self.listens)
        except Failed:
            complaint = self.process.complaint()
            self.process.stop()
            raise Failed(f"{kind} did not start: {complaint}") from None

    def write(self, text):
        path = os.path.join(self.folder, "config")
        with open(path, "w") as file:
            file.write(text)
        return path

    def haproxy(self, tools, upstream, threads, tls, _events):
        tls = f" ssl crt {tools.certificate('both.pem')}" if tls else ""
        config = self.write(HAPROXY.format(
            threads=threads, most=MOST_CONNECTIONS, port=self.port, tls=tls, upstream=upstream))
        return ["haproxy", "-db", "-f", config]

    def nginx(self, tools, upstream, threads, tls, events):
        certificate = ""
        if tls:
            # Before 1.23.4 its default leaves out TLS 1.3, which the load insists on.
            files = tools.certificate("cert.pem"), tools.certificate("key.pem")
            certificate = "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;".format(*files)
        config = self.write(NGINX.format(
            threads=threads, folder=self.folder, port=self.port, tls=" ssl" if tls else "", upstream=upstream,
            reuseport=" reuseport" if threads > 1 else "", certificate=certificate,
            headers=EVENTS if events else UPGRADE))
        return ["nginx", "-p", self.folder, "-c", config]

    def floor(self, tools, upstream, _threads, _tls, _events):
        return [tools.load, "floor", "--listen", f"127.0.0.1:{self.port}", "--upstream", f"127.0.0.1:{upstream}"]

    def hybridge(self, tools, upstream, threads, tls, events):
        scheme = "sse+http" if events else "ws"
        command = [tools.hybridge, "serve", "--threads", str(threads), "--listen", f"127.0.0.1:{self.port}",
                   "--upstream", f"{scheme}://127.0.0.1:{upstream}"]
        if tls:
            command += ["--tls-cert", tools.certificate("cert.pem"), "--tls-key", tools.certificate("key.pem")]
        return command

    def listens(self):
        if self.process.popen.poll() is not None:
            raise Failed("it ended")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.stop()


class Backend:
    """Our own backend: `echo` or `events`."""

    def __init__(self, tools, role, on=None, extra=()):
        self.port = free_port()
        log = os.path.join(tools.place(role), "log")
        self.process = Process([tools.load, role, "--listen", f"127.0.0.1:{self.port}", *extra], log, on, pipes=True)
        if not self.process.popen.stdout.readline():
            raise Failed(f"the backend did not start: {self.process.complaint()}")

    def stop(self):
        self.process.stop()


class Clients:
    """Our own clients of one proxy; without a dialect they read its event stream."""

    # The longest order is many opened connections on a slow machine.
    PATIENCE = 320

    def __init__(self, tools, port, dialect, on=None, tls=False):
        command = [tools.load, "client", "--connect", f"127.0.0.1:{port}"]
        if dialect:
            command += ["--dialect", dialect]
        if tls:
            command += ["--tls", tools.certificate("cert.pem")]
        self.process = Process(command, os.path.join(tools.place("client"), "log"), on, pipes=True)

    def order(self, *words):
        """Has an order carried out; every byte that comes back was compared before this returns."""
        pipe = self.process.popen
        try:
            pipe.stdin.write(" ".join(map(str, words)) + "\n")
            pipe.stdin.flush()
        except BrokenPipeError:
            pass
        ready, _, _ = select.select([pipe.stdout], [], [], self.PATIENCE)
        answer = pipe.stdout.readline() if ready else ""
        if not answer:
            # It has said why before it ended.
            time.sleep(0.1)
            raise Failed(f"{' '.join(map(str, words))}: {self.process.complaint()}")
        return json.loads(answer)

    def stop(self):
        self.process.stop()
