"""What is said in each connection, as the plan a client performs."""

import hashlib
from dataclasses import dataclass

SUBPROTOCOL = "chat"
COOKIE = "sid=abc123"


@dataclass(frozen=True)
class Message:
    kind: str
    data: bytes

    def seen(self):
        """A message as backends and drivers are compared by it."""
        return (self.kind, len(self.data), hashlib.sha1(self.data).hexdigest())

    def step(self):
        return f"{self.kind} {self.data.hex()}"


def text(string):
    return Message("text", string.encode())


def long_text(size):
    """Numbered lines with characters of one to four bytes, so that wherever it is cut, some cut is inside of one."""
    lines = "".join(f"{number} é ✓ 😀\n" for number in range(size // 10)).encode()[:size]
    whole = lines.decode(errors="ignore").encode()
    return Message("text", whole.ljust(size, b"."))


@dataclass(frozen=True)
class Scenario:
    name: str
    behaviour: str  # what the backend does, the first word of the path
    spoken: tuple = ()  # one after the other, each when the one before has been answered
    long: bool = False  # then the longest text that the client can take
    binary: tuple = ()  # then these, from clients that know binary messages
    burst: tuple = ()  # at once
    greeting: tuple = ()  # what the backend says before it is spoken to
    protocol: str = ""
    cookie: str = ""
    close: str = ""  # which of catalog.Closes ends it

    def one_by_one(self, client):
        longest = (long_text(client.longest),) if self.long else ()
        return (*self.spoken, *longest, *(self.binary if client.binary else ()))

    def said(self, client):
        return (*self.one_by_one(client), *self.burst)

    def heard(self, client):
        return (*self.greeting, *self.said(client))

    def plan(self, client, url):
        lines = [f"connect {url}", f"origin {client.origin}"]
        if self.protocol:
            lines.append(f"protocol {self.protocol}")
        if self.cookie and client.cookies:
            lines.append(f"cookie {self.cookie}")
        answers = len(self.greeting)
        if answers:
            lines.append(f"await {answers}")
        for message in self.one_by_one(client):
            answers += 1
            lines += [message.step(), f"await {answers}"]
        if self.burst:
            lines += [message.step() for message in self.burst]
            lines.append(f"await {answers + len(self.burst)}")
        if self.close == "coded":
            lines.append(f"close 4001 {b'done'.hex()}")
        elif self.close == "bare":
            lines.append("close")
        return "\n".join(lines) + "\n"


TALK = Scenario(
    name="talk",
    behaviour="echo",
    spoken=(text("hello, world"), text("😀 𝄞"), text("")),
    long=True,
    binary=(Message("binary", bytes(range(256))), Message("binary", bytes(range(256)) * 400)),
    burst=tuple(text(f"message {number:03}") for number in range(200)),
    close="coded",
)

CHAT = Scenario(
    name="chat",
    behaviour="echo",
    spoken=(text("hello"),),
    protocol=SUBPROTOCOL,
    cookie=COOKIE,
    close="bare",
)

# The backend speaks first, pings, and closes first.
FAREWELL = Scenario(
    name="farewell",
    behaviour="farewell",
    greeting=(text("welcome 😀"),),
    spoken=(text("go"),),
    close="answered",
)

ALL = (TALK, CHAT, FAREWELL)
