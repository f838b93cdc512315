// A certified OpenID provider on a loopback address, over TLS, for the tests: people sign in with any password.
//
// One JSON object as its argument: {cert, key, port, people: {name: claims}, access_s, resource, secret}. Prints the
// issuer when it listens. A line on stdin: "rotate" gives it other signing keys, "block" has it answer
// nothing until another line, "count" prints how often it was asked for its keys.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

console.log = console.info = console.warn = console.error; // its notices; stdout is for answers
const answer = (line) => process.stdout.write(`${line}\n`);
const given = JSON.parse(process.argv[2]);
let serial = 0;
let asked = 0; // how often for the keys

function signingKeys() {
  serial += 1;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return [{ ...rsa, kid: `rsa-${serial}`, use: 'sig' }, { ...ec, kid: `ec-${serial}`, use: 'sig' }];
}

function claimsOf(name) {
  return given.people[name] ?? {};
}

const resourceServer = {
  scope: 'openid profile offline_access',
  audience: given.resource ? 'pact-journal' : undefined,
  accessTokenTTL: given.access_s,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: given.alg ?? 'RS256' } },
};

function configuration() {
  return {
    clients: [
      {
        client_id: 'pact',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
        id_token_signed_response_alg: given.alg ?? 'RS256',
      },
      {
        client_id: 'ci-bot',
        client_secret: given.secret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
    ],
    jwks: { keys: signingKeys() },
    cookies: { keys: ['for tests alone'] },
    claims: { openid: ['sub', 'groups', 'email', 'email_verified', 'pact_role'], profile: ['name'] },
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'HS256'] },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => given.resource ?? undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: () => resourceServer,
      },
    },
    ttl: { AccessToken: given.access_s, IdToken: given.access_s, RefreshToken: 86400 },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...claimsOf(id) }) }),
    extraTokenClaims: (_context, token) => (token.accountId ? claimsOf(token.accountId) : {}),
  };
}

let handle = (_request, reply) => reply.destroy();
let blocked = false;
const server = createServer(
  { cert: readFileSync(given.cert), key: readFileSync(given.key) },
  (request, reply) => {
    if (request.url === '/jwks') asked += 1;
    if (!blocked) handle(request, reply);
  },
);

server.listen(given.port, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const renew = () => { handle = new Provider(issuer, configuration()).callback(); };
  renew();
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'rotate') renew();
      blocked = line === 'block';
      answer(line === 'count' ? String(asked) : 'done');
    })
    .on('close', () => process.exit(0));
  answer(issuer);
});
