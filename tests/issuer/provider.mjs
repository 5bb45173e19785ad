// An OpenID Connect provider that is not ours, for the tests of issuers: node provider.mjs PORT AUDIENCE
// Each start makes a new key, as a provider that rotates its keys would. It prints its URL once it listens.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, audience] = process.argv.slice(2);

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

function provider(url) {
  return new Provider(url, {
    // What a run of a CI would get its token by.
    clients: [
      {
        client_id: 'ci',
        client_secret: 'known-to-the-tests',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    extraTokenClaims: () => ({ repository: 'acme/search', ref: 'refs/heads/main' }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({ scope: '', accessTokenFormat: 'jwt', accessTokenTTL: 300 }),
      },
    },
    jwks: { keys: [newKey()] },
  });
}

const server = createServer();
server.listen(Number(port), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  server.on('request', provider(url).callback());
  console.log(url);
});
