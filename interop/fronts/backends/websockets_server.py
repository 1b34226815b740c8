"""A backend on Python `websockets`. It behaves and reports as ws.js does; what is written there holds here."""

import asyncio
import hashlib
import json
import uuid
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def write(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def choose(connection, offered):
    return "chat" if "chat" in offered else None


async def converse(ws):
    ident = parse_qs(urlsplit(ws.request.path).query)["id"][0]

    def saw(event, message=None, **fields):
        if message is not None:
            data = message.encode() if isinstance(message, str) else message
            fields |= {"length": len(data), "sha1": hashlib.sha1(data).hexdigest()}
        write(event, id=ident, **fields)

    async def say(message):
        saw("said", message)
        await ws.send(message)

    headers = [(name.lower(), value) for name, value in ws.request.headers.raw_items()]
    saw("open", target=ws.request.path, headers=headers)
    await say(f"welcome {uuid.uuid4()} 😀")
    try:
        async for message in ws:
            saw("heard", message, type="text" if isinstance(message, str) else "binary")
            if message == "please leave":
                await ws.close(4321, "so long")
                break
            await say(message)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    saw("close", how=f"{ws.close_code} {ws.close_reason}".strip())


async def main():
    async with serve(converse, "127.0.0.1", 0, select_subprotocol=choose) as server:
        write("listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
