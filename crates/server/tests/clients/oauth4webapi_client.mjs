// npm oauth4webapi, unmodified and over TLS, which it insists on: the parts of a client, put together here as its documentation does.

import * as oauth from "oauth4webapi";
import { importPKCS8 } from "jose";
import assert from "node:assert/strict";
import { Browser, CALLBACK, did, EMAIL, ISSUER, JOB_SECRET, WEB_SECRET } from "./walk.mjs";

const issuer = new URL(ISSUER);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
did("discovery");

/** By the code flow to tokens, with everything checked that the library can check. */
async function signIn(client, authentication) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: CALLBACK,
    response_type: "code",
    scope: "openid profile email",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  });
  const landed = await new Browser().go(url);
  // The state and, as RFC 9207 wants it, the issuer.
  const parameters = oauth.validateAuthResponse(server, client, landed, state);
  const asked = oauth.authorizationCodeGrantRequest(server, client, authentication, parameters, CALLBACK, verifier);
  const response = await asked;
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: nonce,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(server, response);
  return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens) };
}

async function refresh(client, authentication, token) {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, token);
  return oauth.processRefreshTokenResponse(server, client, response);
}

for (const [id, authentication] of [
  ["web", oauth.ClientSecretBasic(WEB_SECRET)],
  ["web", oauth.ClientSecretPost(WEB_SECRET)],
  ["spa", oauth.None()],
]) {
  const client = { client_id: id };
  const { tokens, claims } = await signIn(client, authentication);
  const told = await oauth.userInfoRequest(server, client, tokens.access_token);
  const user = await oauth.processUserInfoResponse(server, client, claims.sub, told);
  assert.equal(user.email, EMAIL);
  did("code", "id_token", "userinfo");

  const renewed = await refresh(client, authentication, tokens.refresh_token);
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  assert.equal(oauth.getValidatedIdTokenClaims(renewed).sub, claims.sub);
  did("refresh");

  const isActive = async () => {
    const answer = await oauth.introspectionRequest(server, client, authentication, renewed.access_token);
    return (await oauth.processIntrospectionResponse(server, client, answer)).active;
  };
  if (id === "web") assert.equal(await isActive(), true);
  const revoked = await oauth.revocationRequest(server, client, authentication, renewed.refresh_token);
  await oauth.processRevocationResponse(revoked);
  await assert.rejects(refresh(client, authentication, renewed.refresh_token), { error: "invalid_grant" });
  if (id === "web") {
    assert.equal(await isActive(), false);
    did("introspection");
  }
  did("revocation");
}

const key = await importPKCS8(process.env.SIGNER_KEY, "ES256");
for (const [id, authentication, flow] of [
  ["job", oauth.ClientSecretBasic(JOB_SECRET), "client_credentials"],
  ["signer", oauth.PrivateKeyJwt(key), "private_key_jwt"],
]) {
  const client = { client_id: id };
  const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, {});
  const tokens = await oauth.processClientCredentialsResponse(server, client, response);
  assert.ok(tokens.access_token);
  did("client_credentials", flow);
}
