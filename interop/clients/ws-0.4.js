// npm `ws` 0.4 in node 0.10. As version 8 its key decodes to 15 bytes, and it sends two origins: `Origin` with the
// host in it, and the true one in `Sec-WebSocket-Origin`.
// node ws-0.4.js 8|13 PLAN...

var WebSocket = require('ws-0.4');
var plan = require('./plan');

plan.performAll(function (script, say) {
  var options = { protocolVersion: Number(process.argv[2]), origin: script.origin, headers: {} };
  if (script.protocol) options.protocol = script.protocol;
  if (script.cookie) options.headers.Cookie = script.cookie;
  var ws = new WebSocket(script.connect, options);

  var performance = plan.perform(script, {
    text: function (text) { ws.send(text, { mask: true }); },
    binary: function (hex) { ws.send(new Buffer(hex, 'hex'), { mask: true, binary: true }); },
    close: function (code, reason) { ws.close(code, reason); }
  }, say);

  ws.on('open', function () { performance.open(ws.protocol); });
  ws.on('message', function (data, flags) {
    if (flags.binary) performance.binary(data.toString('hex'));
    else performance.text(data);
  });
  ws.on('error', function (error) { performance.failed(error.message || error); });
  ws.on('close', function (code, reason) { performance.closed(code, reason); });
});
