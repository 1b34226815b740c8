// The backend: npm `ws` 8, every message back as it came. Prints its port.

const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: true,
  maxFragments: 0, // without a limit: case 9.3.1 sends 65,536 fragments, the default is 16,384
});

server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
server.on('connection', (ws) => {
  ws.on('error', () => {}); // a broken rule: ws closes the connection, which is what the cases want to see
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
