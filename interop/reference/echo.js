// The upstream behind the bridges, for plays whose backend has no lines of its own: says every message back.
// node echo.js

const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, maxPayload: 1 << 28 });
server.on('listening', () => console.log(`listening on ${server.address().port}`));
server.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.on('error', (error) => console.error(`client: ${error.message}`));
});
