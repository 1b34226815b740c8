// A bridge of npm `websocket-driver` 0.5.4 and `ws` 8: clients of hixie-75, hixie-76, versions 7, 8 and 13, an upstream
// of version 13.
// node bridge-websocket-driver.js LISTEN_PORT UPSTREAM_PORT

const crypto = require('crypto');

// The driver is of the time of node 0.10, in which a text was hashed as bytes; `ws` needs a node in which it is not.
const { createHash } = crypto;
crypto.createHash = (name) => {
  const hash = createHash(name);
  const update = hash.update;
  hash.update = (data, encoding = typeof data === 'string' ? 'binary' : undefined) => update.call(hash, data, encoding);
  return hash;
};

const driver = require('websocket-driver');
const bridge = require('./bridge');

// Not a close, though the driver makes it one: the client's stream ended.
const GONE = 1001;

bridge.serve((request, socket, head, port) => {
  bridge.dial(port, request, socket, (upstream) => {
    const { headers } = request;
    const client = driver.http(request, { protocols: upstream.protocol ? [upstream.protocol] : [] });
    const isHixie = /^hixie/.test(client.version);
    const asked = headers['sec-websocket-protocol'] || headers['websocket-protocol'];
    if (isHixie && asked) {
      // The library has no subprotocols for hixie. The whole value is what its clients compare.
      client.setHeader(headers['websocket-protocol'] ? 'WebSocket-Protocol' : 'Sec-WebSocket-Protocol', asked);
    }

    client.on('message', ({ data }) => upstream.send(typeof data === 'string' ? data : Buffer.from(data)));
    upstream.on('message', (data, isBinary) => {
      if (!isBinary) client.text(data.toString());
      else if (!client.binary(data)) closeAll(1003);
    });

    const closeAll = (code) => {
      upstream.close(code);
      client.close('', code);
      setTimeout(() => socket.end(), isHixie ? 0 : bridge.CLOSE_MILLISECONDS).unref();
    };
    client.on('close', ({ code, reason }) => {
      upstream.close(code || (isHixie ? 1000 : undefined), reason || undefined);
      // It has answered, or was answered.
      socket.end();
    });
    client.on('error', (error) => console.error(`client: ${error.message}`));
    upstream.on('close', (code, reason) => {
      // hixie's close, which ends the stream, too, stands for every code; the driver makes 1000 of a missing one.
      if (code === 1006) return socket.destroy();
      client.close(reason.toString(), code === 1005 ? undefined : code);
      setTimeout(() => socket.end(), bridge.CLOSE_MILLISECONDS).unref();
    });
    socket.on('end', () => {
      upstream.close(isHixie ? GONE : undefined);
      socket.end();
    });
    socket.on('close', () => upstream.close());

    client.io.write(head);
    socket.pipe(client.io).pipe(socket);
    client.start();
  });
});
