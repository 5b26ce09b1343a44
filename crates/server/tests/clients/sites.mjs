// Two relying parties (npm openid-client) and the provider on three sites, in a real Chromium. sites.rs says why.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as oidc from "openid-client";
import { chromium } from "playwright-core";
import { pin } from "./pin.mjs";

const { ISSUER, EMAIL, PASSWORD, SERVER, PROVIDER, SHOP, WIKI, SHOP_SECRET, WIKI_SECRET } = process.env;
const tls = { cert: readFileSync(process.env.CERTIFICATE), key: readFileSync(process.env.KEY) };
const [providerAddress, providerPort] = PROVIDER.split(":");

// The parties' own requests to the provider: no name server knows it.
const { lookup } = dns;
dns.lookup = (name, options, callback) =>
  name === "sign-in.net"
    ? lookup(providerAddress, ...(callback ? [options, callback] : [options]))
    : lookup(name, options, callback);

function listen(server, [address, port]) {
  return new Promise((ready, failed) => server.once("error", failed).listen(Number(port), address, ready));
}

// Before the provider: TLS, and the one word that the failing case changes.
let sameSite = "Lax";
await listen(https.createServer(tls, (request, answer) => {
  const headers = {
    ...request.headers,
    "x-forwarded-for": request.socket.remoteAddress,
    "x-forwarded-proto": "https",
    "x-forwarded-host": request.headers.host,
  };
  const passed = http.request(SERVER + request.url, { method: request.method, headers }, (from) => {
    const cookies = from.headers["set-cookie"]?.map((line) => {
      assert.match(line, /^__Host-Http-regrant-sso=.*; SameSite=Lax;/);
      return line.replace("SameSite=Lax", `SameSite=${sameSite}`);
    });
    answer.writeHead(from.statusCode, { ...from.headers, ...(cookies && { "set-cookie": cookies }) });
    from.pipe(answer);
  });
  passed.on("error", () => answer.destroy());
  request.pipe(passed);
}), [providerAddress, providerPort]);

/** An application on a site of its own. */
class Party {
  sessions = new Map();
  waiting = new Map();

  constructor(id, name, address, secret) {
    Object.assign(this, { id, address: address.split(":"), secret });
    this.origin = `https://${name}:${this.address[1]}`;
    this.heard = new Promise((resolve) => { this.hear = resolve; });
  }

  async start() {
    this.config = await oidc.discovery(new URL(ISSUER), this.id, undefined, oidc.ClientSecretBasic(this.secret));
    oidc.enableNonRepudiationChecks(this.config);
    const keys = createRemoteJWKSet(new URL(this.config.serverMetadata().jwks_uri));
    const checks = { issuer: ISSUER, audience: this.id, typ: "logout+jwt" };
    this.verify = async (token) => (await jwtVerify(token, keys, checks)).payload;
    await listen(https.createServer(tls, (request, answer) => {
      this.answer(request, answer).catch((error) => {
        console.error(this.id, error);
        answer.writeHead(500).end(String(error));
      });
    }), this.address);
    return this;
  }

  async answer(request, answer) {
    const url = new URL(request.url, this.origin);
    const id = /app=([^;]*)/.exec(request.headers.cookie ?? "")?.[1];
    const show = (text) => answer.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>x</title>${text}`);
    const lead = (to, more) => answer.writeHead(303, { location: String(to), ...more }).end();
    switch (url.pathname) {
      case "/": {
        const known = this.sessions.get(id);
        return show(known ? `<h1>Hello ${known.email}</h1><a id=out href=/out>out</a>` : "<h1>Hello stranger</h1><a id=in href=/in>in</a>");
      }
      case "/in": {
        const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
        this.waiting.set(state, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
        return lead(oidc.buildAuthorizationUrl(this.config, {
          redirect_uri: `${this.origin}/cb`,
          scope: "openid email",
          code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
          code_challenge_method: "S256",
          state,
          nonce,
        }));
      }
      case "/cb": {
        const checks = this.waiting.get(url.searchParams.get("state"));
        const tokens = await oidc.authorizationCodeGrant(this.config, url, checks);
        const { sid, sub } = tokens.claims();
        const { email } = await oidc.fetchUserInfo(this.config, tokens.access_token, sub);
        const fresh = randomUUID();
        this.sessions.set(fresh, { sid, email, idToken: tokens.id_token });
        return lead("/", { "set-cookie": `app=${fresh}; Secure; HttpOnly; SameSite=Lax; Path=/` });
      }
      case "/out": {
        const { idToken } = this.sessions.get(id);
        this.sessions.delete(id);
        return lead(oidc.buildEndSessionUrl(this.config, {
          id_token_hint: idToken,
          post_logout_redirect_uri: `${this.origin}/bye`,
        }));
      }
      case "/backchannel": {
        let body = "";
        for await (const chunk of request) body += chunk;
        const { sid, events } = await this.verify(new URLSearchParams(body).get("logout_token"));
        assert.ok("http://schemas.openid.net/event/backchannel-logout" in events);
        for (const [key, session] of this.sessions) if (session.sid === sid) this.sessions.delete(key);
        answer.writeHead(204).end();
        return this.hear(sid);
      }
      default:
        return show("<h1>Bye</h1>");
    }
  }
}

const shop = await new Party("shop", "shop-one.com", SHOP, SHOP_SECRET).start();
const wiki = await new Party("wiki", "wiki-two.org", WIKI, WIKI_SECRET).start();

const rules = [["sign-in.net", providerAddress], ["shop-one.com", shop.address[0]], ["wiki-two.org", wiki.address[0]]];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-quic", `--ignore-certificate-errors-spki-list=${pin(tls.cert)}`,
    `--host-resolver-rules=${rules.map(([name, address]) => `MAP ${name} ${address}`).join(", ")}`,
  ],
});

/** Somebody's browser, and the provider's pages that it was shown. */
async function somebody() {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const shown = [];
  page.on("framenavigated", (frame) => {
    const { origin, pathname } = new URL(frame.url());
    if (origin === ISSUER) shown.push(pathname);
  });
  return { context, page, shown };
}

async function hello(page, party, who) {
  await page.waitForURL(`${party.origin}/`);
  assert.equal(await page.textContent("h1"), `Hello ${who}`);
}

async function signInWithPassword(page, party) {
  await page.goto(`${party.origin}/`);
  await page.click("#in");
  await page.waitForURL(`${ISSUER}/login*`);
  await page.fill("[name=identifier]", EMAIL);
  await page.fill("[name=password]", PASSWORD);
  await page.click("#submit-button");
  await hello(page, party, EMAIL);
}

{
  const { context, page, shown } = await somebody();
  await signInWithPassword(page, shop);
  const [cookie] = (await context.cookies(ISSUER)).filter(({ name }) => name === "__Host-Http-regrant-sso");
  assert.deepEqual([cookie.sameSite, cookie.secure, cookie.httpOnly], ["Lax", true, true]);

  // The other site: nobody asks, and no page of the provider is shown on the way.
  shown.length = 0;
  await page.goto(`${wiki.origin}/`);
  await page.click("#in");
  await hello(page, wiki, EMAIL);
  assert.deepEqual(shown, []);
  assert.equal([...shop.sessions.values()][0].sid, [...wiki.sessions.values()][0].sid, "it is one session");

  // Out at one, and the other hears of it behind the browser's back.
  await page.goto(`${shop.origin}/`);
  await page.click("#out");
  await page.waitForURL(`${shop.origin}/bye`);
  const late = new Promise((_, no) => setTimeout(no, 20_000, new Error("the other party did not hear of it")).unref());
  await Promise.race([wiki.heard, late]);
  await page.goto(`${wiki.origin}/`);
  await hello(page, wiki, "stranger");
  await page.click("#in");
  await page.waitForURL(`${ISSUER}/login*`);
  await page.waitForSelector("[name=password]");
  await context.close();
  console.log("one sign-in, one sign-out");
}

{
  sameSite = "Strict";
  const { context, page } = await somebody();
  await signInWithPassword(page, shop);
  const [cookie] = (await context.cookies(ISSUER)).filter(({ name }) => name === "__Host-Http-regrant-sso");
  assert.equal(cookie.sameSite, "Strict");
  await page.goto(`${wiki.origin}/`);
  await page.click("#in");
  // The browser has the cookie and does not bring it: who comes from another site is a stranger.
  await page.waitForURL(`${ISSUER}/login*`);
  await page.waitForSelector("[name=password]");
  await context.close();
  console.log("a Strict cookie asks again");
}

await browser.close();
process.exit(0);
