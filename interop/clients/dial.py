"""`hybridge dial` as a driver: performs plans, and reports from what dial prints and how it exits.

python3 dial.py DIALECT BINARY PLAN...; plans may also have lines `tls CA-FILE` and `name HOST`. Every line of a plan is
sent as text, or every one as binary: dial sends either.
"""

import re
import subprocess
import sys
import threading

PATIENCE = 20
CLOSED = re.compile(r'< "(.*)"  close ?(\d*) ?(".*")?$')


class Failed(Exception):
    pass


def say(line):
    print(line, flush=True)


def parse(file):
    plan, steps = {}, []
    with open(file) as lines:
        for line in lines.read().split("\n"):
            verb, *words = line.split(" ")
            if verb in ("connect", "origin", "protocol", "cookie", "tls", "name"):
                plan[verb] = words[0]
            elif verb:
                steps.append((verb, words))
    return plan, steps


class Dial:
    def __init__(self, binary, dialect, plan, sends_binary):
        url = plan["connect"]
        options = ["-v", "--dialect", dialect, "--origin", plan["origin"]]
        if "protocol" in plan:
            options += ["--protocol", plan["protocol"]]
        if "cookie" in plan:
            options += ["--cookie", plan["cookie"]]
        if "tls" in plan:
            address = re.match("ws://([^/]+)", url)[1]
            port = address.rsplit(":", 1)[1]
            url = url.replace(f"ws://{address}", f"wss://{plan['name']}:{port}")
            options += ["--connect", address, "--ca", plan["tls"]]
        if sends_binary:
            options.append("--binary")
        self.sends_binary = sends_binary
        self.process = subprocess.Popen([binary, "dial", *options, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.changed = threading.Condition()
        self.received = 0
        self.is_over = False  # stdout has ended
        self.binary_told = 0
        self.opened = None  # the subprotocol
        self.close = None  # the server's, as a driver reports it
        self.complaint = []
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self.read_stdout, self.read_stderr)]
        for reader in self.readers:
            reader.start()

    def read_stdout(self):
        for line in self.process.stdout:
            data = line.rstrip(b"\n")
            with self.changed:
                self.changed.wait_for(lambda: self.opened is not None, PATIENCE)
                say(f"binary {data.decode()}" if self.sends_binary else f"text {data.hex()}")
                self.received += 1
                self.changed.notify_all()
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def read_stderr(self):
        protocol, in_answer = "-", False
        for line in self.process.stderr:
            line = line.decode().rstrip("\n")
            with self.changed:
                self.read_trace(line)
                if line.startswith('< "HTTP/1.1 101'):
                    in_answer = True
                if found := re.match(r'< "(?:Sec-)?WebSocket-Protocol: (.*)\\r\\n"$', line):
                    protocol = found[1]
                if in_answer and line == '< "\\r\\n"':
                    in_answer = False
                    self.opened = protocol
                    say(f"open {protocol} -")
                self.changed.notify_all()

    def read_trace(self, line):
        if found := CLOSED.match(line):
            if found[1] == "\\xff\\x00":
                self.close = "ff00"
            else:
                reason = (found[3] or '""')[1:-1].encode().hex()
                self.close = f"{found[2] or 1005} {reason}"
        elif line == "* the server's stream ended" and self.close is None:
            self.close = "fin"
        elif " is binary, " in line:
            self.binary_told += 1
        elif line.startswith("hybridge: "):
            self.complaint.append(line)

    def wait(self, condition):
        with self.changed:
            return self.changed.wait_for(lambda: condition() or self.is_over, PATIENCE)

    def finish(self):
        code = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        if self.opened is None:
            raise Failed(f"exit code {code}: {' '.join(self.complaint)}")
        told = re.match(r"(\d+) ", self.close or "")
        expected = 3 if told and int(told[1]) not in (1000, 1001, 1005) else 0
        if code != expected:
            raise Failed(f"exit code {code}, not {expected}: {' '.join(self.complaint)}")
        if self.sends_binary and self.binary_told != self.received:
            raise Failed(f"{self.received} binary messages, of which {self.binary_told} were told as such")
        say(f"closed {self.close}")


def perform(binary, dialect, file):
    plan, steps = parse(file)
    dial = Dial(binary, dialect, plan, any(verb == "binary" for verb, _ in steps))
    try:
        for verb, words in steps:
            if verb in ("text", "binary"):
                dial.process.stdin.write(bytes.fromhex(words[0]) + b"\n")
                dial.process.stdin.flush()
            elif verb == "await":
                dial.wait(lambda: dial.received >= int(words[0]))
            elif verb == "close":
                say("closing")
                dial.process.stdin.close()
        dial.finish()
    except BrokenPipeError:
        dial.finish()
    finally:
        dial.process.kill()


def main():
    dialect, binary, *plans = sys.argv[1:]
    for plan in plans:
        try:
            perform(binary, dialect, plan)
        except (Failed, OSError, subprocess.TimeoutExpired) as problem:
            say("failed " + re.sub(r"\s+", " ", str(problem)))


main()
