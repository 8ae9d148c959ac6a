// An authorization server (oidc-provider) and an API that takes its tokens. See ../README.md for what it
// reads, prints and answers.

import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createInterface } from 'node:readline';

// Standard output is for the one line that the test reads.
console.log = console.info = console.error;

import { Api } from './api.mjs';
import { createProvider } from './provider.mjs';

const lines = createInterface({ input: process.stdin });
// The test has gone, or was killed.
lines.on('close', () => process.exit());
lines.once('line', (line) => start(JSON.parse(line)));

async function start(config) {
  // The issuer's name has the port, so the sockets come first; nobody knows of them yet.
  const plain = createServer();
  const tls = config.tls && createTlsServer({
    cert: config.tls.cert,
    key: config.tls.key,
    ca: config.tls.ca,
    requestCert: true,
    // Whether a certificate is good enough is oidc-provider's to say: self-signed ones may be.
    rejectUnauthorized: false,
  });
  const origin = `http://127.0.0.1:${await listen(plain)}`;
  const tlsOrigin = tls && `https://127.0.0.1:${await listen(tls)}`;

  const provider = createProvider(origin, tlsOrigin, config);
  const api = new Api(provider);
  const authorize = provider.callback();
  for (const server of [plain, tls]) {
    server?.on('request', async (request, response) => {
      if (api.answer(request, response)) return;
      if (request.url === '/token') await api.passed();
      authorize(request, response);
    });
  }

  const ready = {
    issuer: origin,
    token_endpoint: `${origin}/token`,
    tls_origin: tlsOrigin,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

function listen(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}
