"""The clients: each dialect over a raw socket, as strict as the strictest browser of its time."""

import base64
import hashlib
import http.client
import os
import random
import re
import struct
import time

from wire import Broken

ORIGIN = "http://app.tv.example"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DIALECTS = ("hixie-75", "hixie-76", "v7", "v8", "v13")
HTTP = "http"  # an EventSource's, and only to event streams

# How the handshake, and the first frames, are cut into segments.
COMMON = {
    "whole": "in one segment",
    "two": "in two segments, cut inside a header, with a subprotocol asked for",
    "bytes": "byte by byte at the borders, and so are the frames",
    "frame": "in one segment with the first frame",
    "forged": "in one segment, with forged forwarding headers",
    "leaves": "in one segment; the backend closes, and not the client",
}
KEY3 = {
    "later": "key3 30 ms after the head",
    "after-101": "key3 once the 101 was seen",
    "cut": "key3 cut in two, the second half with the first frame",
    "announced": "key3 in one segment with the head, announced by Content-Length",
}
SEGMENTS = COMMON | KEY3
FORGED = (
    "X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: forged.example\r\n"
    "X-Real-IP: 203.0.113.66\r\nForwarded: for=203.0.113.66;proto=https;host=forged.example\r\n"
)


def segments_of(dialect):
    if dialect == HTTP:
        return ("whole",)
    return (*COMMON, *KEY3) if dialect == "hixie-76" else tuple(COMMON)


def suits(dialect, segments, is_stream):
    """An EventSource needs events; and a stream that ends is asked for again, so that nobody is left."""
    return is_stream if dialect == HTTP else not (is_stream and segments == "leaves")


class Client:
    """A connection of a client. `complaints` are what a strict one would not have taken, as (name, text)."""

    def __init__(self, dialect, segments, wire, url, host, target, protocol=None):
        self.dialect = dialect
        self.segments = segments
        self.wire = wire
        self.url, self.host, self.target = url, host, target
        self.protocol = protocol
        self.complaints = []
        self.is_hixie = dialect.startswith("hixie")

    # The handshake ---------------------------------------------------------------------------------------------------

    def open(self, first):
        """Opens, with the frame of `first` at once where the segments say so; true if that is sent."""
        getattr(self, "_request_" + self.dialect.replace("-", "_").replace("v7", "hybi").replace("v8", "hybi")
                .replace("v13", "hybi"))()
        frame = self.frame(first)
        is_sent = self._send_request(frame)
        answer = self.wire.until(b"\r\n\r\n")
        if self.segments == "after-101":
            self.wire.send(self.key3)
        status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        if not status or status[1] != b"101":
            raise Broken(f"answered {answer[:200]!r}")
        self._judge(answer)
        if self.dialect == "hixie-76":
            digest = self.wire.exactly(16)
            if digest != self.digest:
                raise Broken(f"the sixteen bytes are {digest!r} and not {self.digest!r}")
        return is_sent

    def _send_request(self, frame):
        head, key3, send = self.head, self.key3, self.wire.send
        if self.segments == "two":
            cut = head.index(b"Origin") + 3
            send(head[:cut])
            time.sleep(0.01)
            send(head[cut:] + key3)
        elif self.segments == "bytes":
            # The border behind the first line, the one of the head, and key3.
            line = head.index(b"\r\n")
            send(head[: line - 1])
            self._slowly(head[line - 1 : line + 3])
            send(head[line + 3 : -6])
            self._slowly(head[-6:] + key3)
        elif self.segments == "frame":
            send(head + key3 + frame)
            return True
        elif self.segments == "later":
            send(head)
            time.sleep(0.03)
            send(key3)
        elif self.segments == "after-101":
            send(head)
        elif self.segments == "cut":
            send(head + key3[:3])
            time.sleep(0.01)
            send(key3[3:] + frame)
            return True
        else:
            send(head + key3)
        return False

    def _slowly(self, data):
        for byte in data:
            self.wire.send(bytes([byte]))
            time.sleep(0.001)

    def _forged(self):
        return FORGED if self.segments == "forged" else ""

    def _request_hixie_75(self):
        protocol = f"WebSocket-Protocol: {self.protocol}\r\n" if self.protocol else ""
        self.key3 = b""
        self.head = (f"GET {self.target} HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: {self.host}\r\n"
                     f"Origin: {ORIGIN}\r\n{protocol}{self._forged()}Cookie: sid=a1\r\n\r\n").encode()

    def _request_hixie_76(self):
        (text1, part1), (text2, part2) = _hixie_key(), _hixie_key()
        self.key3 = os.urandom(8)
        self.digest = hashlib.md5(struct.pack(">II", part1, part2) + self.key3).digest()
        protocol = f"Sec-WebSocket-Protocol: {self.protocol}\r\n" if self.protocol else ""
        announced = "Content-Length: 8\r\n" if self.segments == "announced" else ""
        self.head = (f"GET {self.target} HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: {self.host}\r\n"
                     f"Origin: {ORIGIN}\r\n{protocol}{self._forged()}{announced}Cookie: sid=a1\r\n"
                     f"Sec-WebSocket-Key1: {text1}\r\nSec-WebSocket-Key2: {text2}\r\n\r\n").encode()

    def _request_hybi(self):
        key = base64.b64encode(os.urandom(16))
        self.key3 = b""
        self.accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        origin = "Origin" if self.dialect == "v13" else "Sec-WebSocket-Origin"
        protocol = f"Sec-WebSocket-Protocol: {self.protocol}\r\n" if self.protocol else ""
        self.head = (f"GET {self.target} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: {self.host}\r\n"
                     f"{origin}: {ORIGIN}\r\n{protocol}{self._forged()}Sec-WebSocket-Key: {key.decode()}\r\n"
                     f"Sec-WebSocket-Version: {self.dialect[1:]}\r\nCookie: sid=a1\r\n\r\n").encode()

    def _judge(self, answer):
        lines = answer[:-4].split(b"\r\n")
        if not re.fullmatch(rb"HTTP/1\.1 101 \S.*", lines[0]):
            self.complain("status line", f"it is {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not name or not value.strip(b" "):
                self.complain("field", f"an old WebKit cannot read {line!r}")
            fields.append((name, value[1:] if value.startswith(b" ") else value))

        def one(name, expected):
            values = [value for field, value in fields if field.lower() == name.lower().encode()]
            wanted = [] if expected is None else [expected.encode()]
            if values != wanted:
                self.complain(name, f"expected {wanted}, got {values}")
            elif expected is not None and name.encode() not in (field for field, _ in fields):
                self.complain(name, "its letter case is another")

        if self.dialect == "hixie-75":
            wanted = (b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n")
            if not answer.startswith(wanted):
                self.complain("first lines", f"they are not to the byte as they must be: {answer[:140]!r}")
            one("WebSocket-Origin", ORIGIN)
            one("WebSocket-Location", self.url)
            one("WebSocket-Protocol", self.protocol)
            return
        connection = [value.lower() for name, value in fields if name.lower() == b"connection"]
        if connection != [b"upgrade"]:
            self.complain("Connection", f"expected Upgrade alone, got {connection}")
        one("Upgrade", "WebSocket" if self.is_hixie else "websocket")
        one("Sec-WebSocket-Protocol", self.protocol)
        if self.is_hixie:
            one("Sec-WebSocket-Origin", ORIGIN)
            one("Sec-WebSocket-Location", self.url)
        else:
            one("Sec-WebSocket-Accept", self.accept.decode())
            one("Sec-WebSocket-Extensions", None)

    def complain(self, name, text):
        self.complaints.append((name, text))

    # Messages --------------------------------------------------------------------------------------------------------

    def frame(self, text):
        data = text.encode()
        return b"\0" + data + b"\xff" if self.is_hixie else _masked(1, data)

    def send(self, text):
        if self.segments == "bytes" and len(text) < 40:
            for byte in self.frame(text):
                self.wire.send(bytes([byte]))
        else:
            self.wire.send(self.frame(text))

    def receive(self):
        """The next message, as text."""
        kind, data = self._frame()
        if kind != "text":
            raise Broken(f"instead of a message came {kind} {data[:60]!r}")
        return data.decode()

    def _frame(self):
        return self._hixie_frame() if self.is_hixie else self._hybi_message()

    def _hixie_frame(self):
        kind = self.wire.exactly(1)
        if kind == b"\0":
            return "text", self.wire.until(b"\xff")[:-1]
        if kind == b"\xff" and self.wire.exactly(1) == b"\0" and self.dialect == "hixie-76":
            return "close", b""
        raise Broken(f"a frame of the type {kind!r}")

    def _hybi_message(self):
        message = b""
        while True:
            first, length = self.wire.exactly(2)
            if length & 0x80 or first & 0x70:
                raise Broken(f"a server's frame is masked or has reserved bits: {first:02x} {length:02x}")
            if length == 126:
                (length,) = struct.unpack(">H", self.wire.exactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.wire.exactly(8))
            data = self.wire.exactly(length)
            opcode = first & 15
            if opcode == 9:
                self.wire.send(_masked(10, data))
            elif opcode == 8:
                return "close", data
            elif opcode in (0, 1):
                message += data
                if first & 0x80:
                    return "text", message
            else:
                raise Broken(f"a frame with the opcode {opcode}")

    # The end ---------------------------------------------------------------------------------------------------------

    def close(self):
        """Closes as the dialect does, and waits for the end of the stream; returns how long that took."""
        started = time.monotonic()
        if self.dialect == "hixie-75":
            self.wire.finish()
        else:
            self.wire.send(b"\xff\0" if self.is_hixie else _masked(8, struct.pack(">H", 4001) + b"done"))
            kind, data = self._frame()
            if kind != "close":
                raise Broken(f"instead of a close came {kind} {data[:60]!r}")
            if not self.is_hixie and data[:2] != struct.pack(">H", 4001):
                raise Broken(f"the close with 4001 is answered by {data!r}")
        self._ends()
        return time.monotonic() - started

    def be_left(self):
        """Has the backend close, and waits for the end of the stream; returns how long that took."""
        started = time.monotonic()
        self.send("please leave")
        if self.dialect != "hixie-75":
            kind, data = self._frame()
            if kind != "close" or not self.is_hixie and data[:2] != struct.pack(">H", 4321):
                raise Broken(f"instead of a close with 4321 came {kind} {data[:60]!r}")
            # The WebKits of hixie-76 do not answer.
            if not self.is_hixie:
                self.wire.send(_masked(8, data))
        self._ends()
        return time.monotonic() - started

    def _ends(self):
        if rest := self.wire.rest():
            raise Broken(f"after the close came {rest[:60]!r}")


def _hixie_key():
    """The text of a key and the number in it, as hixie-76 1.3 has clients make them."""
    spaces = random.randint(1, 12)
    number = random.randint(0, 0xFFFFFFFF // spaces)
    text = list(str(number * spaces))
    others = [chr(code) for code in (*range(0x21, 0x30), *range(0x3A, 0x7F))]
    for _ in range(random.randint(1, 12)):
        text.insert(random.randint(0, len(text)), random.choice(others))
    for _ in range(spaces):
        text.insert(random.randint(1, len(text) - 1), " ")
    return "".join(text), number


def _masked(opcode, data):
    mask = os.urandom(4)
    if len(data) < 126:
        length = struct.pack(">B", 0x80 | len(data))
    elif len(data) < 1 << 16:
        length = struct.pack(">BH", 0x80 | 126, len(data))
    else:
        length = struct.pack(">BQ", 0x80 | 127, len(data))
    stream = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)], "big")
    masked = (int.from_bytes(data, "big") ^ stream).to_bytes(len(data), "big")
    return bytes([0x80 | opcode]) + length + mask + masked


class Browser:
    """A browser's EventSource, whose requests are plain HTTP. Events must come while the stream is open."""

    def __init__(self, port, source, context, host, target):
        self._make = lambda: _http(port, source, context)
        self._host, self._target = host, target
        self._stream = self._answer = None
        self.complaints = []

    def open(self):
        self._stream = self._make()
        answer = self._ask(self._stream, "GET", {"Accept": "text/event-stream"})
        if answer.status != 200 or answer.headers.get_content_type() != "text/event-stream":
            raise Broken(f"answered {answer.status} {answer.headers.get('Content-Type')}")
        self._answer = answer

    def receive(self):
        data = []
        while True:
            try:
                line = self._answer.readline()
            except OSError as problem:
                raise Broken(f"no event came: {problem}") from None
            if not line:
                raise Broken("the event stream has ended")
            line = line.decode().rstrip("\n")
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            if not line and data:
                return "\n".join(data)

    def send(self, text):
        connection = self._make()
        answer = self._ask(connection, "POST", {"Content-Type": "text/plain; charset=utf-8"}, text.encode())
        answer.read()
        connection.close()
        if answer.status != 204:
            raise Broken(f"a POST was answered {answer.status}")

    def _ask(self, connection, method, headers, body=None):
        connection.putrequest(method, self._target, skip_host=True, skip_accept_encoding=True)
        headers = {"Host": self._host, "Origin": ORIGIN, "Cookie": "sid=a1", **headers}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        try:
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as problem:
            raise Broken(f"{method}: {problem!r}") from None

    def close(self):
        for open_one in (self._stream, self._answer):
            if open_one:
                open_one.close()


def _http(port, source, context):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        connection.connect()
        if context:
            connection.sock = context.wrap_socket(connection.sock)
    except OSError as problem:
        raise Broken(f"cannot connect: {problem}") from None
    return connection
