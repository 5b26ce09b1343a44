// The provider's pages in a real browser: on a telephone's and a desktop's width, light and dark, looked at by axe; and the whole way
// without script. Arguments: the issuer, Chromium, the user's name and password.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [issuer, executablePath, email, password] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const callback = "http://127.0.0.1:9/cb";

function request(more = {}) {
  const fields = new URLSearchParams({
    response_type: "code",
    client_id: "shop",
    redirect_uri: callback,
    scope: "openid profile email offline_access orders:read",
    state: "s",
    code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    code_challenge_method: "S256",
    ...more,
  });
  return `${issuer}/oauth2/authorize?${fields}`;
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

/** Walks through every page; `look` is called on each. */
async function walk(options, look) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  // The application: it keeps what it was sent.
  let landed;
  await page.route("http://127.0.0.1:9/**", (route) => {
    landed = route.request();
    return route.fulfill({ contentType: "text/html", body: "<!doctype html><title>app</title>" });
  });
  const refused = [];
  page.on("console", (message) => /Content.Security.Policy/i.test(message.text()) && refused.push(message.text()));

  await page.goto(request({ prompt: "consent" }));
  await look(page, "login");
  await page.fill("[name=identifier]", email);
  await page.fill("[name=password]", "not that one");
  await page.click("#submit-button");
  await page.waitForSelector("#problem");
  await look(page, "login, wrong");
  assert.equal(await page.inputValue("[name=identifier]"), email);
  await page.fill("[name=password]", password);
  await page.click("#submit-button");
  await page.waitForSelector("#allow");
  await look(page, "consent");
  await page.click("#allow");
  await page.waitForURL(/^http:\/\/127\.0\.0\.1:9\//);
  assert.ok(new URL(landed.url()).searchParams.get("code"), landed.url());

  // The answer in a form, which posts itself or has a button.
  await page.goto(request({ response_mode: "form_post" })).catch(() => {});
  if (options.javaScriptEnabled === false) {
    await look(page, "form_post");
    await page.click("#submit-button");
  }
  await page.waitForURL(/^http:\/\/127\.0\.0\.1:9\//);
  assert.equal(landed.method(), "POST");
  assert.ok(new URLSearchParams(landed.postData()).get("code"), landed.postData());

  await page.goto(`${issuer}/login`);
  await look(page, "signed in");
  await page.goto(`${issuer}/oauth2/logout`);
  await look(page, "logout");
  await page.click("#submit-button");
  await page.waitForSelector("text=You are signed out");
  await look(page, "signed out");
  await page.goto(`${issuer}/oauth2/authorize?client_id=nobody`);
  await look(page, "error");
  assert.deepEqual(refused, []);
  await context.close();
}

for (const [width, colorScheme] of [[320, "light"], [320, "dark"], [1280, "light"], [1280, "dark"]]) {
  // axe is put into the page; the pages' own policy is tested by the walk without script, and on the wire.
  await walk({ viewport: { width, height: 700 }, colorScheme, bypassCSP: true }, async (page, name) => {
    const where = `${name}, ${width} px, ${colorScheme}`;
    const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(isWide, false, `${where} scrolls sideways`);
    await page.addScriptTag({ path: axe });
    const { violations } = await page.evaluate(() => window.axe.run());
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
    assert.deepEqual(found, [], where);
  });
}
await walk({ javaScriptEnabled: false }, async () => {});
// With the policy and with script: the form posts itself, and the pages are led on to the application.
await walk({}, async () => {});
await browser.close();
console.log("every page is as it should be");
