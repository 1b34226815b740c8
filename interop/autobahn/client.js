// The client: npm `ws` 8 plays all cases of Autobahn's fuzzingserver, one after the other, then asks for the report.
//
//   node client.js ws://HOST:PORT AGENT COUNT SECONDS-FOR-A-CASE

const { WebSocket } = require('ws');

const [base, agent, count, seconds] = process.argv.slice(2);

const options = {
  // Two offers in one: the cases 13.* want a server that may ask the client for either.
  perMessageDeflate: { clientNoContextTakeover: true, clientMaxWindowBits: true },
  maxFragments: 0,
};

// Resolves when the connection is gone, with the last message that it brought.
function visit(path, limit, listen) {
  return new Promise((resolve) => {
    const ws = new WebSocket(base + path, options);
    const timer = setTimeout(() => {
      console.log(`${path}: not over after ${limit} s`);
      ws.terminate();
    }, limit * 1000);
    let last;
    ws.on('error', (error) => console.log(`${path}: ${error.message}`));
    ws.on('message', (data, isBinary) => {
      last = data.toString();
      if (listen) listen(ws, data, isBinary);
    });
    ws.on('close', () => {
      clearTimeout(timer);
      resolve(last);
    });
  });
}

async function main() {
  const offered = await visit('/getCaseCount', 30);
  if (offered !== count) throw new Error(`getCaseCount: ${offered}, not ${count}`);
  for (let number = 1; number <= Number(count); number += 1) {
    await visit(`/runCase?case=${number}&agent=${agent}`, Number(seconds), (ws, data, isBinary) => {
      ws.send(data, { binary: isBinary });
    });
  }
  await visit(`/updateReports?agent=${agent}`, 120);
}

main().catch((error) => {
  console.log(error.message);
  process.exit(1);
});
