// A server that speaks the old dialects itself: npm `websocket-driver` 0.5.4 in node 0.10. The clients talk to it
// without hybridge between them, to tell a client that does not work from a hybridge that does not.
// Behaves and reports as ../backends/ws.js does.

var crypto = require('crypto');
var http = require('http');
var driver = require('websocket-driver');

function write(event, fields) {
  fields.event = event;
  process.stdout.write(JSON.stringify(fields) + '\n');
}

var server = http.createServer();

server.on('upgrade', function (request, socket, head) {
  var id = request.url.split(/[\/?]/)[2];
  var farewell = /^\/farewell\//.test(request.url);
  var headers = request.headers;
  var protocols = headers['sec-websocket-protocol'] || headers['websocket-protocol'];
  var ws = driver.http(request, { protocols: ['chat'] });
  var isHixie = /^hixie/.test(ws.version);

  function saw(event, fields) {
    fields.id = id;
    write(event, fields);
  }

  // hixie has no ping, and this library no subprotocol for hixie.
  if (isHixie && protocols) {
    ws.setHeader(headers['websocket-protocol'] ? 'WebSocket-Protocol' : 'Sec-WebSocket-Protocol', protocols);
  }
  var pong = isHixie;
  var heard = 0;

  function leave() {
    if (!farewell || !pong || heard === 0) return;
    ws.close('so long', 4321);
    if (isHixie) socket.end();
  }

  ws.on('open', function () {
    saw('open', {
      path: request.url, host: headers.host, origin: headers['sec-websocket-origin'] || headers.origin,
      cookie: headers.cookie, protocols: protocols, extensions: ''
    });
    if (!farewell) return;
    ws.ping('heartbeat', function () {
      saw('pong', { payload: 'heartbeat' });
      pong = true;
      leave();
    });
    ws.text('welcome 😀');
  });
  ws.on('message', function (event) {
    var isText = typeof event.data === 'string';
    var data = new Buffer(event.data);
    var sha1 = crypto.createHash('sha1').update(data).digest('hex');
    saw('message', { type: isText ? 'text' : 'binary', length: data.length, sha1: sha1 });
    if (isText) ws.text(event.data);
    else ws.binary(data);
    heard += 1;
    leave();
  });
  var isClosed = false;
  function closed(code, reason) {
    if (!isClosed) saw('close', { code: code, reason: reason });
    isClosed = true;
  }
  ws.on('close', function (event) {
    // hixie has no codes; this says what hybridge has a backend see.
    closed(event.code || 1000, event.reason || '');
    socket.end();
  });
  socket.on('end', function () { closed(1001, ''); socket.end(); });
  socket.on('error', function () { closed(1006, ''); });

  ws.io.write(head);
  socket.pipe(ws.io).pipe(socket);
  ws.start();
});

server.listen(0, '127.0.0.1', function () { write('listening', { port: server.address().port }); });
