// A backend on npm `ws` 8. It does what the first word of the path says, and writes what it sees as JSON lines.
//
// With TLS_KEY and TLS_CERTIFICATE, files of PEM, it speaks TLS.
//
// /echo/ID      every message goes back as it came
// /farewell/ID  speaks first, with a ping; echoes one message; closes with 4321 as soon as the pong is there

const { createHash } = require('crypto');
const { readFileSync } = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const write = (event, fields) => console.log(JSON.stringify({ event, ...fields }));

const { TLS_KEY, TLS_CERTIFICATE } = process.env;
const plain = (request, response) => response.writeHead(426).end();
const listener = TLS_KEY
  ? https.createServer({ key: readFileSync(TLS_KEY), cert: readFileSync(TLS_CERTIFICATE) }, plain)
  : http.createServer(plain);

const server = new WebSocketServer({
  server: listener,
  perMessageDeflate: true,
  handleProtocols: (offered) => offered.has('chat') && 'chat',
});

listener.listen(0, '127.0.0.1', () => write('listening', { port: listener.address().port }));

server.on('connection', (ws, request) => {
  const [, behaviour, id] = request.url.split(/[/?]/);
  const { host, cookie } = request.headers;
  // Version 8 has another name for it.
  const origin = request.headers[request.headers['sec-websocket-version'] === '8' ? 'sec-websocket-origin' : 'origin'];
  const saw = (event, fields) => write(event, { id, ...fields });
  const farewell = behaviour === 'farewell';
  let pong = false;
  let heard = 0;

  const leave = () => {
    if (farewell && pong && heard > 0) ws.close(4321, 'so long');
  };

  saw('open', {
    path: request.url,
    host,
    origin,
    cookie,
    protocols: request.headers['sec-websocket-protocol'],
    extensions: ws.extensions,
  });
  ws.on('message', (data, isBinary) => {
    const sha1 = createHash('sha1').update(data).digest('hex');
    saw('message', { type: isBinary ? 'binary' : 'text', length: data.length, sha1 });
    ws.send(data, { binary: isBinary });
    heard += 1;
    leave();
  });
  ws.on('pong', (payload) => {
    saw('pong', { payload: payload.toString() });
    pong = true;
    leave();
  });
  ws.on('error', (error) => saw('error', { message: error.message }));
  // 1005: a close frame without a code. 1006: no close frame at all.
  ws.on('close', (code, reason) => saw('close', { code, reason: reason.toString() }));

  if (farewell) {
    ws.ping('heartbeat');
    ws.send('welcome 😀');
  }
});
