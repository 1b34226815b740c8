// npm `websocket` 1.0.8 (WebSocket-Node, 2012) in node 0.10. It sends messages above 16 KiB in fragments, and closes
// and answers a close with 1000, whatever the application or the server said.
// node websocket-node.js 8|13 PLAN...

var WebSocketClient = require('websocket').client;
var plan = require('./plan');

plan.performAll(function (script, say) {
  var client = new WebSocketClient({ webSocketVersion: Number(process.argv[2]) });
  var connection;

  var performance = plan.perform(script, {
    text: function (text) { connection.sendUTF(text); },
    binary: function (hex) { connection.sendBytes(new Buffer(hex, 'hex')); },
    close: function () { connection.close(); }
  }, say);

  client.on('connectFailed', performance.failed);
  client.on('connect', function (opened) {
    connection = opened;
    connection.on('message', function (message) {
      if (message.type === 'utf8') performance.text(message.utf8Data);
      else performance.binary(message.binaryData.toString('hex'));
    });
    connection.on('error', performance.failed);
    connection.on('close', performance.closed);
    performance.open(connection.protocol);
  });
  client.connect(script.connect, script.protocol, script.origin, script.cookie && { Cookie: script.cookie });
});
