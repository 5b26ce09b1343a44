// npm `oidc-provider` as the generator meets it: refresh tokens that rotate, at POST /token.
//
// 1. Nobody signs in: each grant and its first refresh token are saved through the provider's own models.
// 2. The first refresh tokens go into a file, one a line.
// 3. One line of JSON says "ready", where it listens, and which versions these are.
//
// It is set up to do as little as it can for a refresh: everything in memory, a client without a secret, no ID token, no
// session to look up. What it must do is rotate, and sign an access token with ES256.
//
//     node server.mjs GRANTS TOKENS-FILE

import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { finished } from 'node:stream/promises';

import Provider from 'oidc-provider';

// bench/src/http.rs names the same one.
const CLIENT = 'regrant-bench';
const API = 'https://api.bench.example';
const SCOPE = 'api offline_access';
const DAYS = 24 * 60 * 60;

// The library's own store in memory keeps a thousand entries and forgets the others, and goes through all tokens that a grant
// ever had each time it saves one. This one keeps everything and looks at nothing.
class Memory {
  static grants = new Map();

  entries = new Map();

  async upsert(id, payload) {
    this.entries.set(id, payload);
    if (payload.grantId) {
      const tokens = Memory.grants.get(payload.grantId);
      if (tokens) {
        tokens.push([this, id]);
      } else {
        Memory.grants.set(payload.grantId, [[this, id]]);
      }
    }
  }

  async find(id) {
    return this.entries.get(id);
  }

  async consume(id) {
    this.entries.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [model, id] of Memory.grants.get(grantId) ?? []) {
      model.entries.delete(id);
    }
    Memory.grants.delete(grantId);
  }
}

const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const listening = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(listening, {
  adapter: Memory,
  // No other key is there, so that no other algorithm can be.
  jwks: { keys: [{ ...signingKey, use: 'sig', alg: 'ES256', kid: 'bench' }] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clients: [
    {
      client_id: CLIENT,
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://bench.example/callback'],
    },
  ],
  scopes: ['openid', 'offline_access'],
  rotateRefreshToken: true,
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'api',
        audience: API,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 15 * 60,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  ttl: { AccessToken: 15 * 60, Grant: 90 * DAYS, RefreshToken: 90 * DAYS },
});
provider.on('server_error', (_ctx, error) => console.error(error));
server.on('request', provider.callback());

const [grants, tokensFile] = process.argv.slice(2);
const client = await provider.Client.find(CLIENT);
const tokens = createWriteStream(tokensFile, { mode: 0o600 });
for (let n = 0; n < Number(grants); n += 1) {
  // As many users as in a seeded store of Regrant.
  const accountId = `user${Math.floor(n / 10)}`;
  const grant = new provider.Grant({ accountId, clientId: CLIENT });
  grant.addOIDCScope('offline_access');
  grant.addResourceScope(API, 'api');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    resource: API,
    scope: SCOPE,
  });
  if (!tokens.write(`${await token.save()}\n`)) {
    await once(tokens, 'drain');
  }
}
tokens.end();
await finished(tokens);

const library = JSON.parse(readFileSync(new URL('node_modules/oidc-provider/package.json', import.meta.url)));
console.log(JSON.stringify({ ready: true, listening, library: library.version, node: process.versions.node }));

process.on('SIGTERM', () => process.exit(0));
// It does not outlive the one that measures it.
process.stdin.on('end', () => process.exit(0)).resume();
