// A backend of Server-Sent Events on npm `better-sse`, which breaks off again and again, and writes what it sees as JSON
// lines.
//
// GET /events?client=NAME&events=N&drops=D   N numbered events, over D + 1 streams at the least
// POST /say?client=NAME                      takes a message, after a moment
// GET /page?events=N&drops=D                 a page that listens with the browser's own EventSource
// POST /heard                                what that page has heard

const http = require('http');
const { createSession } = require('better-sse');

const write = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const drops = {};

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://backend');
  const client = url.searchParams.get('client');
  const connection = request.headers['hybridge-connection'];
  if (url.pathname === '/events') return events(request, response, url, client, connection);
  if (url.pathname === '/page') {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    return response.end(page(url.search));
  }
  let body = Buffer.alloc(0);
  for await (const piece of request) body = Buffer.concat([body, piece]);
  if (url.pathname === '/heard') {
    write('heard', { client: 'chromium', heard: JSON.parse(body) });
    return response.writeHead(204).end();
  }
  const type = request.headers['content-type'];
  write('said', { client, connection, type, hex: body.toString('hex') });
  // Long enough that two at a time would overtake each other.
  setTimeout(() => response.writeHead(204).end(), body.length % 3);
});

async function events(request, response, url, client, connection) {
  const last = request.headers['last-event-id'] || '';
  const total = Number(url.searchParams.get('events'));
  const wanted = Number(url.searchParams.get('drops'));
  write('asked', { client, connection, last, type: request.headers.accept });
  const session = await createSession(request, response, { retry: 5, serializer: String });
  const ends = (drops[client] = drops[client] || 0) >= wanted;
  // A few events at a time, so that each stream ends at another place.
  let number = Number(last);
  const until = ends ? total : Math.min(total, number + 1 + (drops[client] % 2));
  while (number < until) {
    number += 1;
    session.push(`event ${number} 😀 of ${client}`, number % 5 ? 'message' : 'fifth', String(number));
  }
  if (ends) return;
  drops[client] += 1;
  write('dropped', { client });
  const how = drops[client] % 4;
  // By the end of the response, of TCP inside an event, of TCP behind one, by a reset.
  if (how === 0) return response.end();
  if (how === 1) return response.write(`id: ${number + 1}\ndata: cut o`, () => request.socket.destroy());
  setTimeout(() => (how === 2 ? request.socket.destroy() : request.socket.resetAndDestroy()), 1);
}

const page = (query) => `<!doctype html><title>events</title><script>
const heard = [];
const source = new EventSource('/events${query}&client=chromium');
const total = Number(new URLSearchParams('${query}').get('events'));
const hear = (event) => {
  heard.push([event.lastEventId, event.data]);
  if (heard.length < total) return;
  source.close();
  fetch('/heard', { method: 'POST', body: JSON.stringify(heard) });
};
source.onmessage = hear;
source.addEventListener('fifth', hear);
</script>`;

server.listen(0, '127.0.0.1', () => write('listening', { port: server.address().port }));
