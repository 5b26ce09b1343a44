// npm openid-client, unmodified, as an application uses it. The person at the browser is played here: forms without script.

import * as oidc from "openid-client";
import { importPKCS8 } from "jose";
import assert from "node:assert/strict";
import { Browser, CALLBACK, did, EMAIL, ISSUER, JOB_SECRET, WEB_SECRET } from "./walk.mjs";

// The issuer is http on a loopback address, which the library wants to be told is meant.
const insecure = { execute: [oidc.allowInsecureRequests] };

async function signIn(config, browser, more = {}, options = undefined) {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK,
    scope: "openid profile email offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    ...more,
  });
  const landed = await browser.go(url);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return oidc.authorizationCodeGrant(config, landed, checks, undefined, options);
}

const done = [];

async function flow(name, play) {
  await play();
  done.push(name);
}

for (const [method, authentication] of [
  ["client_secret_basic", oidc.ClientSecretBasic(WEB_SECRET)],
  ["client_secret_post", oidc.ClientSecretPost(WEB_SECRET)],
]) {
  await flow(`code, ${method}`, async () => {
    const config = await oidc.discovery(new URL(ISSUER), "web", undefined, authentication, insecure);
    // Signatures are checked although the answer comes over the back channel.
    oidc.enableNonRepudiationChecks(config);
    const browser = new Browser();
    const tokens = await signIn(config, browser);
    const claims = tokens.claims();
    assert.equal(claims.aud, "web");
    const user = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
    assert.equal(user.email, EMAIL);
    assert.equal(user.name, "Ada");
    did("discovery", "code", "id_token", "userinfo");

    const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    assert.notEqual(renewed.refresh_token, tokens.refresh_token);
    assert.equal(renewed.claims().sub, claims.sub);
    const told = await oidc.tokenIntrospection(config, renewed.access_token);
    assert.equal(told.active, true);
    did("refresh", "introspection");

    // The same sign-in for another request, and a new one when it is asked for.
    const again = await signIn(config, browser, { prompt: "none" });
    assert.equal(again.claims().auth_time, claims.auth_time);
    await signIn(config, browser, { prompt: "login", max_age: "0" });

    await oidc.tokenRevocation(config, renewed.refresh_token);
    assert.equal((await oidc.tokenIntrospection(config, renewed.access_token)).active, false);
    await assert.rejects(oidc.refreshTokenGrant(config, renewed.refresh_token), { error: "invalid_grant" });

    const online = await signIn(config, browser, { scope: "openid" });
    const bye = oidc.buildEndSessionUrl(config, {
      id_token_hint: online.id_token,
      post_logout_redirect_uri: "http://127.0.0.1:9/bye",
      state: "s",
    });
    assert.equal((await browser.go(bye)).href, "http://127.0.0.1:9/bye?state=s");
    await assert.rejects(oidc.refreshTokenGrant(config, online.refresh_token), { error: "invalid_grant" });
    await assert.rejects(signIn(config, browser, { prompt: "none" }), { error: "login_required" });
    did("revocation", "logout");
  });
}

await flow("code, public", async () => {
  const config = await oidc.discovery(new URL(ISSUER), "spa", undefined, oidc.None(), insecure);
  oidc.enableNonRepudiationChecks(config);
  const tokens = await signIn(config, new Browser(), { scope: "openid email" });
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  await oidc.refreshTokenGrant(config, renewed.refresh_token);
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: "invalid_grant" });
});

// The server wants nonces: the library gets them by being refused once, and tries again by itself.
await flow("code, public, DPoP", async () => {
  const config = await oidc.discovery(new URL(ISSUER), "spa", undefined, oidc.None(), insecure);
  oidc.enableNonRepudiationChecks(config);
  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair());
  const more = { scope: "openid email", dpop_jkt: await DPoP.calculateThumbprint() };
  const tokens = await signIn(config, new Browser(), more, { DPoP });
  assert.equal(tokens.token_type, "dpop");
  const sub = tokens.claims().sub;
  for (let times = 0; times < 2; times += 1) {
    const user = await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
    assert.equal(user.email, EMAIL);
  }
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  // A lost reply, and a thief: without the key, or with another one.
  const again = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  assert.equal(again.refresh_token, renewed.refresh_token);
  const theirs = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair("Ed25519"));
  for (const options of [undefined, { DPoP: theirs }]) {
    const stolen = oidc.refreshTokenGrant(config, renewed.refresh_token, undefined, options);
    await assert.rejects(stolen, { error: "invalid_dpop_proof" });
    await assert.rejects(oidc.fetchUserInfo(config, renewed.access_token, sub, options));
  }
  const third = await oidc.refreshTokenGrant(config, renewed.refresh_token, undefined, { DPoP });
  await oidc.tokenRevocation(config, third.refresh_token);
  const over = oidc.refreshTokenGrant(config, third.refresh_token, undefined, { DPoP });
  await assert.rejects(over, { error: "invalid_grant" });
  did("dpop");
});

await flow("client credentials, DPoP by each algorithm", async () => {
  const config = await oidc.discovery(new URL(ISSUER), "job", undefined, oidc.ClientSecretBasic(JOB_SECRET), insecure);
  for (const algorithm of ["ES256", "ES384", "PS256", "RS256", "Ed25519"]) {
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair(algorithm));
    const tokens = await oidc.clientCredentialsGrant(config, { scope: "stock:read" }, { DPoP });
    assert.equal(tokens.token_type, "dpop", algorithm);
  }
});

await flow("client credentials", async () => {
  const config = await oidc.discovery(new URL(ISSUER), "job", undefined, oidc.ClientSecretBasic(JOB_SECRET), insecure);
  const tokens = await oidc.clientCredentialsGrant(config, { scope: "stock:read" });
  assert.equal(tokens.scope, "stock:read");
  did("client_credentials");
});

await flow("client credentials, private_key_jwt", async () => {
  const key = await importPKCS8(process.env.SIGNER_KEY, "ES256");
  const config = await oidc.discovery(new URL(ISSUER), "signer", undefined, oidc.PrivateKeyJwt(key), insecure);
  for (let times = 0; times < 2; times += 1) await oidc.clientCredentialsGrant(config);
  did("private_key_jwt");
});

for (const name of done) console.log(`done: ${name}`);
