// A real OpenID provider (oidc-provider) for the tests of connected accounts: agrees to everything at once, counts what
// it is asked, and has one resource that takes its access tokens. Usage: provider.mjs <redirect URI>…
import { createServer } from 'node:http';
import { Provider, interactionPolicy } from 'oidc-provider';

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const counts = { authorization_code: 0, refresh_token: 0, revocation: 0 };
let hold = 0; // ms that the token endpoint waits, so that callers meet there
let failing = 0; // answers of the token endpoint that fail
let ttl = 3600; // of access tokens, s
let spoil = 0; // tokens that the resource will refuse from now on, as if they had been revoked
const spoiled = new Set();
const grantsOf = new Map();

const redirect_uris = process.argv.slice(2);
const grants = { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], redirect_uris };
const provider = new Provider(issuer, {
  clients: [
    { client_id: 'basic', client_secret: 'the-client-secret-of-basic-%&+', ...grants },
    { client_id: 'post', client_secret: 'the-client-secret-of-post', token_endpoint_auth_method: 'client_secret_post', ...grants },
    { client_id: 'public', token_endpoint_auth_method: 'none', ...grants },
  ],
  scopes: ['openid', 'email', 'offline_access', 'read'],
  claims: { openid: ['sub'], email: ['email'] },
  clientBasedCORS: () => false,
  cookies: { keys: ['only for tests'] },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true }, userinfo: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  ttl: { AccessToken: () => ttl, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, AuthorizationCode: 60, IdToken: 600 },
  interactions: { policy: interactionPolicy.base(), url: (_, interaction) => `/agree/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.org` }) }),
});
provider.on('grant.success', (ctx) => { counts[ctx.oidc.params.grant_type] += 1; });
provider.on('access_token.destroyed', () => { counts.revocation += 1; });
provider.on('refresh_token.destroyed', () => { counts.revocation += 1; });
provider.on('server_error', (_, error) => console.error(error));

// Whoever comes is the account that `login_hint` names and agrees to what the client asks for.
async function agree(request, response) {
  const { params, prompt, session, grantId } = await provider.interactionDetails(request, response);
  if (params.login_hint === 'nobody') {
    const result = { error: 'access_denied', error_description: 'the person said no' };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  if (prompt.name === 'login') {
    const result = { login: { accountId: params.login_hint ?? 'somebody' } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? 'openid');
  const id = await grant.save();
  grantsOf.set(session.accountId, id);
  const result = { consent: { grantId: id } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function resource(request, response) {
  const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  if (bearer && spoil > 0) {
    spoil -= 1;
    spoiled.add(bearer);
  }
  const token = spoiled.has(bearer) ? undefined : await provider.AccessToken.find(bearer);
  response.writeHead(token ? 200 : 401, { 'content-type': 'application/json' });
  response.end(JSON.stringify(token ? { account: token.accountId } : { error: 'invalid_token' }));
}

async function control(url, response) {
  ttl = Number(url.searchParams.get('ttl') ?? ttl);
  hold = Number(url.searchParams.get('hold') ?? hold);
  failing = Number(url.searchParams.get('failing') ?? failing);
  spoil = Number(url.searchParams.get('spoil') ?? spoil);
  const grant = grantsOf.get(url.searchParams.get('end')); // ends the grant of an account
  if (grant) await (await provider.Grant.find(grant)).destroy();
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(counts));
}

const handle = provider.callback();
server.on('request', async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/control') return control(url, response);
  if (url.pathname === '/resource') return resource(request, response);
  if (url.pathname.startsWith('/agree/')) return agree(request, response);
  if (url.pathname === '/token') {
    if (hold) await new Promise((done) => setTimeout(done, hold));
    if (failing > 0) {
      failing -= 1;
      response.writeHead(503);
      return response.end();
    }
  }
  return handle(request, response);
});
console.log(issuer);
