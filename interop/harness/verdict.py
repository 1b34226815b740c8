"""What must have been seen at both ends of a connection, what was seen, and where the two differ."""

import scenarios

# A client that closes is not kept waiting. The measure is one client's: after a second it hangs up without a word.
# Some clients notice that the server closed only when TCP ends, and TCP may wait a little for those that answer.
PROMPT_SECONDS = {"coded": 1.0, "bare": 1.0, "answered": 3.0}

# hybridge need not wait for the client's answer to a close: it may give the usual one, which repeats the code.
REPEATED = "4321"


def seen_by_client(lines):
    """The (time, line) pairs that a driver printed about one connection."""
    seen = {"opened": None, "messages": [], "closed": None, "waited": 0, "trouble": []}
    before = None  # when it was last heard of
    for time, line in lines:
        verb, *words = line.split(" ")
        if verb == "open":
            seen["opened"] = words
        elif verb in ("text", "binary"):
            seen["messages"].append(scenarios.Message(verb, bytes.fromhex(words[0])).seen())
        elif verb == "wire":
            seen["wire"] = sum(map(int, words))
        elif verb == "closed":
            word, reason = [*words, "", ""][:2]
            seen["closed"] = f"{word} {bytes.fromhex(reason).decode()}".strip()
            if before:
                seen["waited"] = time - before
        elif verb != "closing":
            seen["trouble"].append(line)
        if verb != "wire":
            before = time
    return seen


def seen_by_backend(records, scenario):
    seen = {"messages": [], "pongs": 0, "closed": None, "trouble": []}
    for record in records:
        event = record["event"]
        if event == "open":
            for key in ("path", "host", "origin", "cookie", "protocols", "extensions"):
                seen[key] = record.get(key) or ""
        elif event == "message":
            seen["messages"].append((record["type"], record["length"], record["sha1"]))
        elif event == "pong":
            seen["pongs"] += record["payload"] == "heartbeat"
        elif event == "close":
            # An answer repeats the code; whether the reason, too, is a matter of taste.
            reason = "" if scenario.close == "answered" else record["reason"]
            seen["closed"] = f"{record['code']} {reason}".strip()
        elif event == "error":
            seen["trouble"].append(record["message"])
    return seen


def expected_of_client(client, scenario):
    return {
        "opened": [scenario.protocol or "-", client.extension or "-"],
        "messages": [message.seen() for message in scenario.heard(client)],
        "closed": _close(client, scenario).client,
        "trouble": [],
    }


def expected_of_backend(client, scenario, path, host):
    return {
        "path": path,
        "host": host,
        "origin": client.origin.format(host=host),
        "cookie": scenario.cookie if client.cookies else "",
        "protocols": scenario.protocol,
        "extensions": client.extension,
        "messages": [message.seen() for message in scenario.said(client)],
        "pongs": 1 if scenario.behaviour == "farewell" else 0,
        "closed": _close(client, scenario).backend,
        "trouble": [],
    }


def judge(client, scenario, path, host, lines, records, blind):
    """Every difference, a line each; none is a pass. `blind` names what this backend cannot see."""
    at_client, at_backend = seen_by_client(lines), seen_by_backend(records, scenario)
    wanted = expected_of_backend(client, scenario, path, host)
    if scenario.close == "answered" and at_backend["closed"] == REPEATED:
        wanted["closed"] = REPEATED
    for key in blind:
        del wanted[key]
    found = [
        *_differences("client", expected_of_client(client, scenario), at_client),
        *_differences("backend", wanted, at_backend),
    ]
    limit = PROMPT_SECONDS[scenario.close]
    if at_client["waited"] >= limit:
        found.append(f"client: the connection ends {at_client['waited']:.1f} s after the close, not within {limit} s")
    if "wire" in at_client and scenario.burst:
        found += _compression(client, scenario, at_client["wire"])
    return found


def _close(client, scenario):
    return getattr(client.closes, scenario.close)


def _differences(end, expected, seen):
    if not any(seen.values()):
        yield f"{end}: nothing at all of this connection"
        return
    for key, value in expected.items():
        if seen.get(key) == value:
            continue
        if key == "messages":
            yield f"{end}: {_first_difference(value, seen[key])}"
        else:
            yield f"{end}: {key}: expected {value!r}, saw {seen.get(key)!r}"


def _first_difference(expected, seen):
    for number, (wanted, got) in enumerate(zip(expected, seen)):
        if wanted != got:
            return f"message {number + 1} of {len(expected)}: expected {wanted}, saw {got}"
    return f"messages: expected {len(expected)}, saw {len(seen)}"


def _compression(client, scenario, wire):
    """An extension agreed on proves little: the bytes on the client's wire show whether it was used."""
    payload = sum(len(message.data) for message in (*scenario.said(client), *scenario.heard(client)))
    if client.extension and wire > payload / 2:
        yield f"client: {client.extension} was agreed on, but {payload} bytes of messages took {wire} on the wire"
    if not client.extension and wire < payload:
        yield f"client: no extension was agreed on, but {payload} bytes of messages took only {wire} on the wire"
