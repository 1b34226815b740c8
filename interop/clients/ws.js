// npm `ws` 8 as a version 13 client, with and without permessage-deflate.
// node ws.js 13|13-deflate PLAN...

var WebSocket = require('ws');
var plan = require('./plan');

var deflate = process.argv[2] === '13-deflate' && { threshold: 0 };

plan.performAll(function (script, say) {
  var options = { perMessageDeflate: deflate, origin: script.origin, headers: {} };
  if (script.cookie) options.headers.Cookie = script.cookie;
  var ws = new WebSocket(script.connect, script.protocol ? [script.protocol] : [], options);
  var socket;

  var performance = plan.perform(script, {
    text: function (text) { ws.send(text); },
    binary: function (hex) { ws.send(Buffer.from(hex, 'hex')); },
    close: function (code, reason) { ws.close(code, reason); }
  }, say);

  ws.on('upgrade', function (response) { socket = response.socket; });
  ws.on('open', function () { performance.open(ws.protocol, ws.extensions); });
  ws.on('message', function (data, isBinary) {
    if (isBinary) performance.binary(data.toString('hex'));
    else performance.text(data.toString());
  });
  ws.on('error', function (error) { performance.failed(error.message); });
  ws.on('close', function (code, reason) {
    // The proof that deflate was not only agreed on but used.
    say('wire ' + socket.bytesWritten + ' ' + socket.bytesRead);
    performance.closed(code, reason.toString());
  });
});
