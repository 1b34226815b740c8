// npm `websocket-client` 1.0.0 (2011) in node 0.10: hixie-76. It writes each message in three pieces, and waits for
// the server's FF 00 after its own. It cannot send cookies, and does not tell how a connection ended.
// node websocket-client.js 76 PLAN...

var http = require('http');
var plan = require('./plan');

// The client was written for node 0.4, where an http.Client passes on its requests' `upgrade`. In 0.10 it does not.
var Client = http.createClient().constructor;
var request = Client.prototype.request;
Client.prototype.request = function () {
  var made = request.apply(this, arguments);
  made.on('upgrade', this.emit.bind(this, 'upgrade'));
  return made;
};

var WebSocket = require('websocket-client').WebSocket;

plan.performAll(function (script, say) {
  var ws = new WebSocket(script.connect, script.protocol, { origin: script.origin });

  var performance = plan.perform(script, {
    text: function (text) { ws.send(text); },
    close: function () { ws.close(); }
  }, say);

  ws.on('open', function () { performance.open(script.protocol); });
  ws.on('message', performance.text);
  ws.on('wserror', function (error) { performance.failed(error.message); });
  ws.on('close', function () { performance.closed(); });
});
