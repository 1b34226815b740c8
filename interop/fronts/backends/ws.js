// A backend on npm `ws` 8. It greets each client with words nobody could guess, sends every message back, closes with 4321
// when asked to leave, and writes what it was told, heard and said as JSON lines. The query's `id` tells connections
// apart.

const { createHash, randomUUID } = require('crypto');
const { WebSocketServer } = require('ws');

const write = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const seen = (data) => ({ length: data.length, sha1: createHash('sha1').update(data).digest('hex') });

const server = new WebSocketServer({
  port: 0,
  host: '127.0.0.1',
  handleProtocols: (offered) => offered.has('chat') && 'chat',
});

server.on('listening', () => write('listening', { port: server.address().port }));

server.on('connection', (ws, request) => {
  const id = new URL(request.url, 'ws://backend').searchParams.get('id');
  const saw = (event, fields) => write(event, { id, ...fields });
  const say = (data) => {
    saw('said', seen(data));
    ws.send(data, { binary: false });
  };

  saw('open', { target: request.url, headers: pairs(request.rawHeaders) });
  ws.on('message', (data, isBinary) => {
    saw('heard', { type: isBinary ? 'binary' : 'text', ...seen(data) });
    if (String(data) === 'please leave') ws.close(4321, 'so long');
    else say(data);
  });
  ws.on('error', (error) => saw('error', { message: error.message }));
  ws.on('close', (code, reason) => saw('close', { how: `${code} ${reason}`.trim() }));
  say(Buffer.from(`welcome ${randomUUID()} 😀`));
});

function pairs(flat) {
  return flat.flatMap((name, index) => (index % 2 ? [] : [[name.toLowerCase(), flat[index + 1]]]));
}
