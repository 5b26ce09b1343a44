// npm oidc-client-ts, unmodified, in a page in a real browser. The page is another site than the server: what it asks is subject
// to CORS. The person is played with Playwright.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import https from "node:https";
import { chromium } from "playwright-core";
import { pin } from "./pin.mjs";
import { did, EMAIL, ISSUER, PASSWORD } from "./walk.mjs";

const { APP } = process.env;
const tls = { cert: readFileSync(process.env.CERTIFICATE), key: readFileSync(process.env.KEY) };

// The application's own server: a page and the library.
const library = readFileSync(new URL("node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js", import.meta.url));
const html = `<!doctype html><title>app</title><script src="/library.js"></script><script>
const users = new oidc.UserManager({
  authority: ${JSON.stringify(ISSUER)}, client_id: "page", redirect_uri: "${APP}/cb", post_logout_redirect_uri: "${APP}/bye",
  scope: "openid profile email", loadUserInfo: true, automaticSilentRenew: false,
  userStore: new oidc.WebStorageStateStore({ store: localStorage }),
});
</script>`;
const server = https.createServer(tls, (request, answer) => {
  const [kind, body] = request.url === "/library.js" ? ["text/javascript", library] : ["text/html", html];
  answer.writeHead(200, { "content-type": kind }).end(body);
});
const { hostname, port } = new URL(APP);
await new Promise((ready, failed) => server.once("error", failed).listen(Number(port), hostname, ready));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-quic", `--ignore-certificate-errors-spki-list=${pin(tls.cert)}`],
});
const context = await browser.newContext();
context.setDefaultTimeout(20_000);
const page = await context.newPage();
// Told if it fails.
page.on("console", (message) => console.error(message.text()));
page.on("pageerror", (error) => console.error(error));

await page.goto(`${APP}/`);
// The promise of a redirect never ends, since the page is gone.
await page.evaluate(() => void users.signinRedirect({ nonce: "n-1" }));
await page.waitForURL(`${ISSUER}/login*`);
await page.fill("[name=identifier]", EMAIL);
await page.fill("[name=password]", PASSWORD);
await page.click("#submit-button");
await page.waitForURL(`${APP}/cb*`);
const user = await page.evaluate(async () => {
  const { profile, ...rest } = await users.signinCallback();
  return { ...rest, profile };
});
assert.equal(user.profile.email, EMAIL);
assert.equal(JSON.parse(Buffer.from(user.id_token.split(".")[1], "base64url")).nonce, "n-1");
did("discovery", "code", "id_token", "userinfo");

const renewed = await page.evaluate(async () => ({ ...(await users.signinSilent()) }));
assert.notEqual(renewed.refresh_token, user.refresh_token);
assert.notEqual(renewed.access_token, user.access_token);
assert.equal(renewed.profile.sub, user.profile.sub);
// Once more with the new one, in another tab: the store is shared.
const tab = await context.newPage();
await tab.goto(`${APP}/`);
const again = await tab.evaluate(async () => ({ ...(await users.signinSilent()) }));
assert.notEqual(again.refresh_token, renewed.refresh_token);
did("refresh");

await page.evaluate(() => void users.signoutRedirect({ state: "kept" }));
await page.waitForURL(`${APP}/bye*`);
const bye = await page.evaluate(async () => ({ ...(await users.signoutCallback()) }));
assert.equal(bye.userState, "kept");
did("logout");

// Nobody is signed in now: the person is asked, and no silent way leads round it.
await page.goto(`${APP}/`);
await page.evaluate(() => void users.signinRedirect({ prompt: "none" }));
await page.waitForURL(`${APP}/cb*`);
assert.equal(await page.evaluate(() => users.signinCallback().catch((error) => error.error)), "login_required");

await page.evaluate(() => void users.signinRedirect());
await page.waitForURL(`${ISSUER}/login*`);
await page.fill("[name=identifier]", EMAIL);
await page.fill("[name=password]", PASSWORD);
await page.click("#submit-button");
await page.waitForURL(`${APP}/cb*`);
await page.evaluate(() => users.signinCallback().then(() => undefined));
const refused = await page.evaluate(async () => {
  const user = await users.getUser();
  await users.revokeTokens();
  await users.storeUser(user);
  return users.signinSilent().catch((error) => error.error);
});
assert.equal(refused, "invalid_grant");
did("revocation");
await browser.close();
server.closeAllConnections();
server.close();
