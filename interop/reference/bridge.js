// What the bridges in JavaScript share: the way to the upstream with npm `ws` 8, and the process around it.

const http = require('http');
const WebSocket = require('ws');

// Closing takes no longer than this, whoever does not answer.
const CLOSE_MILLISECONDS = 3000;

// The names in a client's list of subprotocols; hixie calls the header otherwise, and has a list of one.
function subprotocols(headers) {
  const asked = headers['sec-websocket-protocol'] || headers['websocket-protocol'] || '';
  return asked.split(',').map((name) => name.trim()).filter(Boolean);
}

// Refuses a client that has asked and not been answered.
function refuse(socket, status, phrase) {
  socket.end(`HTTP/1.1 ${status} ${phrase || 'Refused'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

// Asks the upstream what the client asked. `opened(upstream)` if it agrees; else the client is refused as it was.
function dial(port, request, socket, opened) {
  const { headers } = request;
  const options = { perMessageDeflate: false, closeTimeout: CLOSE_MILLISECONDS, headers: {} };
  const origin = headers['sec-websocket-origin'] || headers.origin;
  if (origin) options.origin = origin;
  if (headers.cookie) options.headers.Cookie = headers.cookie;
  let upstream;
  try {
    upstream = new WebSocket(`ws://127.0.0.1:${port}${request.url}`, subprotocols(headers), options);
  } catch (error) {
    return refuse(socket, 400, 'Bad Request');
  }
  let agreed = false;
  upstream.on('open', () => {
    agreed = true;
    opened(upstream);
  });
  upstream.on('unexpected-response', (_, response) => {
    refuse(socket, response.statusCode, response.statusMessage);
    upstream.terminate();
  });
  upstream.on('error', (error) => {
    console.error(`upstream: ${error.message}`);
    if (!agreed && socket.writable) refuse(socket, 502, 'Bad Gateway');
  });
  // Gone before it was let in.
  socket.on('close', () => agreed || upstream.terminate());
  socket.on('error', (error) => console.error(`client: ${error.message}`));
}

// Closes a `ws` connection as the other one was closed: 1005 is a close without a code, 1006 is no close.
function closeAs(ws, code, reason) {
  if (code === 1006) ws.terminate();
  else if (code === 1005) ws.close();
  else ws.close(code, reason);
}

// Listens on the port of the command line, or on any, and says where. `upgrade(request, socket, head, port)` gets every
// client that asks for a WebSocket, with the upstream's port.
function serve(upgrade) {
  const [listen, upstream] = process.argv.slice(2).map(Number);
  const server = http.createServer((_, response) => response.writeHead(426).end());
  server.on('upgrade', (request, socket, head) => upgrade(request, socket, head, upstream));
  server.listen(listen, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
  // One connection's failure is not the others'.
  process.on('uncaughtException', (error) => console.error(error.stack));
}

module.exports = { CLOSE_MILLISECONDS, closeAs, dial, refuse, serve, subprotocols };
