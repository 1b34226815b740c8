// A bridge of npm `ws` 8: clients of versions 8 and 13, an upstream of version 13.
// node bridge-ws.js LISTEN_PORT UPSTREAM_PORT

const { WebSocketServer } = require('ws');
const bridge = require('./bridge');

const chosen = new WeakMap();
const clients = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  closeTimeout: bridge.CLOSE_MILLISECONDS,
  handleProtocols: (_, request) => chosen.get(request) || false,
});

bridge.serve((request, socket, head, port) => {
  bridge.dial(port, request, socket, (upstream) => {
    chosen.set(request, upstream.protocol);
    // What the upstream says at once waits until the client has been answered, which is in this same turn.
    clients.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data, isBinary) => upstream.send(data, { binary: isBinary }));
      upstream.on('message', (data, isBinary) => client.send(data, { binary: isBinary }));
      client.on('close', (code, reason) => bridge.closeAs(upstream, code, reason));
      upstream.on('close', (code, reason) => bridge.closeAs(client, code, reason));
      client.on('error', (error) => console.error(`client: ${error.message}`));
    });
    // handleUpgrade has refused what it does not speak.
    if (!socket.writable) upstream.terminate();
  });
});
