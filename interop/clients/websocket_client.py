"""PyPI `websocket-client` 0.4.1 (2011), Python 2.7: hixie-76.

It drops the query of a URL, sends its own host as Origin, and reads messages byte by byte. After its FF 00 it waits
one second for the server's, and says nothing when none comes: the harness sees that by the time it takes.

python2.7 websocket_client.py 76 PLAN...
"""

import sys

import websocket


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def hear(ws):
    """Reads one message; False when the connection is over."""
    try:
        text = ws.recv()
    except websocket.ConnectionClosedException:
        say("closed fin")
        return False
    if text is None:
        say("closed ff00")
        return False
    say("text " + text.encode("hex"))
    return True


def perform(plan):
    # No timeout here: with one, this client's single send() writes only a part of a long message.
    ws = websocket.create_connection(plan["connect"], header=plan["header"])
    say("open %s -" % plan["protocol"])
    received = 0
    for words in plan["steps"]:
        if words[0] == "text":
            ws.send(words[1].decode("hex"))
        elif words[0] == "await":
            while received < int(words[1]):
                if not hear(ws):
                    return
                received += 1
        elif words[0] == "close":
            say("closing")
            ws.close()
            say("closed")
            return
    while hear(ws):
        pass


def parse(path):
    plan = {"header": [], "protocol": "-", "steps": []}
    for line in open(path).read().split("\n"):
        words = line.split(" ")
        if words[0] == "connect":
            plan["connect"] = words[1]
        elif words[0] == "protocol":
            plan["protocol"] = words[1]
            plan["header"].append("Sec-WebSocket-Protocol: " + words[1])
        elif words[0] == "cookie":
            plan["header"].append("Cookie: " + words[1])
        elif words[0] not in ("", "origin"):
            plan["steps"].append(words)
    return plan


for path in sys.argv[2:]:
    try:
        perform(parse(path))
    except Exception as error:
        say("failed %s: %s" % (type(error).__name__, " ".join(str(error).split())))
