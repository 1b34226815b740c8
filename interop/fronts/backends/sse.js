// A backend of Server-Sent Events on npm `better-sse`. It greets each client with an event nobody could guess, makes an
// event of every message it gets by POST, and reports as ws.js does.

const { createHash, randomUUID } = require('crypto');
const http = require('http');
const { createSession } = require('better-sse');

const write = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const seen = (data) => ({ length: data.length, sha1: createHash('sha1').update(data).digest('hex') });
const sessions = new Map(); // by the id that hybridge gives to all requests of one client; a browser's own have none

const server = http.createServer(async (request, response) => {
  const id = new URL(request.url, 'http://backend').searchParams.get('id');
  const connection = request.headers['hybridge-connection'] || id;
  const saw = (event, fields) => write(event, { id, ...fields });

  if (request.method === 'POST') {
    let body = Buffer.alloc(0);
    for await (const piece of request) body = Buffer.concat([body, piece]);
    const session = sessions.get(connection);
    const type = (request.headers['content-type'] || '').startsWith('text/plain') ? 'text' : 'binary';
    saw('heard', { type, ...seen(body) });
    response.writeHead(204).end();
    if (session) session.say(body);
    else saw('error', { message: `a message of a client that asked for no events: ${connection}` });
    return;
  }

  saw('open', { target: request.url, headers: pairs(request.rawHeaders) });
  response.on('close', () => {
    sessions.delete(connection);
    saw('close', { how: 'gone' });
  });
  const session = await createSession(request, response, { serializer: String });
  session.say = (data) => {
    saw('said', seen(data));
    session.push(data.toString());
  };
  sessions.set(connection, session);
  session.say(Buffer.from(`welcome ${randomUUID()} 😀`));
});

server.listen(0, '127.0.0.1', () => write('listening', { port: server.address().port }));

function pairs(flat) {
  return flat.flatMap((name, index) => (index % 2 ? [] : [[name.toLowerCase(), flat[index + 1]]]));
}
