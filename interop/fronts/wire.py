"""A TCP connection as an old client has it, with or without TLS: whole control over what is sent in one piece."""

import socket
import ssl
import time


class Broken(Exception):
    """The connection did not go as it must: it ended early, or nothing came in time."""


class Wire:
    def __init__(self, port, source, seconds, context=None, name=None):
        """Connects to a port of this machine, from another address of it; `context` and `name` are for TLS."""
        self._deadline = time.monotonic() + seconds
        self._buffer = bytearray()
        self._tls = None
        self.certificate = None
        self.tls_version = None
        self._socket = socket.socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.settimeout(seconds)
            self._socket.bind((source, 0))
            self._socket.connect(("127.0.0.1", port))
            if context:
                self._handshake(context, name)
        except OSError as problem:
            self._socket.close()
            raise Broken(f"cannot connect: {problem}") from None
        except Broken:
            self._socket.close()
            raise

    def _handshake(self, context, name):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self._receive()
                if not data:
                    raise Broken("ended inside the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError as problem:
                raise Broken(f"TLS: {problem.reason}") from None
        self._flush()
        self._tls = tls
        self.certificate = tls.getpeercert(binary_form=True)
        self.tls_version = ssl.TLSVersion[tls.version().replace(".", "_")]

    def _flush(self):
        if self._outgoing.pending:
            self._socket.sendall(self._outgoing.read())

    def _receive(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Broken("nothing came in time")
        self._socket.settimeout(left)
        try:
            return self._socket.recv(1 << 16)
        except TimeoutError:
            raise Broken("nothing came in time") from None
        except OSError as problem:
            raise Broken(f"broke off: {problem}") from None

    def send(self, data):
        """As one segment, or with TLS as one record, if it is no longer than that can be."""
        left = self._deadline - time.monotonic()
        self._socket.settimeout(max(left, 0.01))
        try:
            if self._tls:
                while data:
                    data = data[self._tls.write(data) :]
                self._flush()
            else:
                self._socket.sendall(data)
        except OSError as problem:
            raise Broken(f"takes nothing: {problem}") from None

    def _fill(self):
        """Reads more into the buffer; false at the end of the stream."""
        while True:
            if self._tls:
                try:
                    data = self._tls.read(1 << 16)
                    self._buffer += data
                    return bool(data)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return False
                except ssl.SSLError as problem:
                    raise Broken(f"TLS: {problem.reason}") from None
            data = self._receive()
            if self._tls and data:
                self._incoming.write(data)
                continue
            self._buffer += data
            return bool(data)

    def comes_within(self, seconds):
        """Whether anything comes so soon."""
        deadline, self._deadline = self._deadline, time.monotonic() + seconds
        try:
            return bool(self._buffer) or self._fill()
        except Broken:
            return False
        finally:
            self._deadline = deadline

    def until(self, end):
        """What comes up to and with `end`."""
        while (at := self._buffer.find(end)) < 0:
            if not self._fill():
                raise Broken(f"ended before {end!r}, after {bytes(self._buffer[:300])!r}")
        return self._take(at + len(end))

    def exactly(self, count):
        while len(self._buffer) < count:
            if not self._fill():
                raise Broken(f"ended after {len(self._buffer)} of {count} bytes: {bytes(self._buffer[:300])!r}")
        return self._take(count)

    def _take(self, count):
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def rest(self):
        """All that comes until the other end has ended its stream: that of TCP, which is what old devices look at."""
        while self._fill():
            pass
        while self._tls and self._receive():
            pass
        return self._take(len(self._buffer))

    def finish(self):
        """Ends our stream, and goes on listening."""
        try:
            if self._tls:
                try:
                    self._tls.unwrap()
                except ssl.SSLError:
                    pass  # it waits for the other end's own
                self._flush()
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end was faster

    def close(self):
        self._socket.close()
