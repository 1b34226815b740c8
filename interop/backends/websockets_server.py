"""A backend on Python `websockets`. It behaves and reports as ws.js does; what is written there holds here."""

import asyncio
import hashlib
import json

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def write(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def choose(connection, offered):
    return "chat" if "chat" in offered else None


async def converse(ws):
    path = ws.request.path
    _, behaviour, ident = path.split("?")[0].split("/")
    headers = ws.request.headers

    def saw(event, **fields):
        write(event, id=ident, **fields)

    saw(
        "open",
        path=path,
        host=headers.get("Host"),
        origin=headers.get("Origin"),
        cookie=headers.get("Cookie"),
        protocols=headers.get("Sec-WebSocket-Protocol"),
        extensions=", ".join(extension.name for extension in ws.protocol.extensions),
    )
    try:
        if behaviour == "farewell":
            pong = await ws.ping("heartbeat")
            await ws.send("welcome 😀")
            await echo(ws, await ws.recv(), saw)
            await pong
            saw("pong", payload="heartbeat")
            await ws.close(4321, "so long")
        else:
            async for message in ws:
                await echo(ws, message, saw)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    saw("close", code=ws.close_code, reason=ws.close_reason)


async def echo(ws, message, saw):
    data = message.encode() if isinstance(message, str) else message
    kind = "text" if isinstance(message, str) else "binary"
    saw("message", type=kind, length=len(data), sha1=hashlib.sha1(data).hexdigest())
    await ws.send(message)


async def main():
    async with serve(converse, "127.0.0.1", 0, select_subprotocol=choose) as server:
        write("listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()


asyncio.run(main())
