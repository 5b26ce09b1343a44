// A device without a keyboard and its user's browser: the page /device, looked at by axe on a telephone's and a desktop's width, light
// and dark, and the whole way without script. Arguments: the issuer, Chromium, the user's name and password, and where to put
// pictures, for whoever wants to look.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [issuer, executablePath, email, password, pictures] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

async function post(path, fields) {
  const answer = await fetch(`${issuer}${path}`, { method: "POST", body: new URLSearchParams({ client_id: "tv", ...fields }) });
  return answer.json();
}

const begin = () => post("/oauth2/device_authorization", { scope: "openid profile offline_access" });
const ask = ({ device_code }) =>
  post("/oauth2/token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code });

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

/** The device asks, its user types and allows, and then does not; `look` is called on each page. */
async function walk(options, look) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const refused = [];
  page.on("console", (message) => /Content.Security.Policy/i.test(message.text()) && refused.push(message.text()));

  const device = await begin();
  await page.goto(device.verification_uri);
  await look(page, "code");
  await page.fill("[name=user_code]", "nothing");
  await page.click("#submit-button");
  await page.waitForSelector("#problem");
  await look(page, "code, wrong");
  await page.fill("[name=user_code]", device.user_code.toLowerCase().replace("-", " "));
  await page.click("#submit-button");
  await page.fill("[name=identifier]", email);
  await page.fill("[name=password]", password);
  await page.click("#submit-button");
  await page.waitForSelector("#allow");
  assert.ok((await page.textContent(".card")).includes(device.user_code));
  await look(page, "allow");
  assert.equal((await ask(device)).error, "authorization_pending");
  await page.click("#allow");
  await page.waitForSelector("text=Your device is connected");
  await look(page, "allowed");
  assert.ok((await ask(device)).refresh_token);

  // By the whole address, which fills the form in.
  const other = await begin();
  await page.goto(other.verification_uri_complete);
  assert.equal(await page.inputValue("[name=user_code]"), other.user_code);
  await page.click("#submit-button");
  await page.waitForSelector("#deny");
  await page.click("#deny");
  await page.waitForSelector("text=Your device is not connected");
  await look(page, "denied");
  assert.equal((await ask(other)).error, "access_denied");
  // Back is not another answer.
  await page.goBack();
  await page.waitForSelector("#problem, #allow");
  assert.deepEqual(refused, []);
  await context.close();
}

for (const [width, colorScheme] of [[320, "light"], [320, "dark"], [1280, "light"], [1280, "dark"]]) {
  await walk({ viewport: { width, height: 700 }, colorScheme, bypassCSP: true }, async (page, name) => {
    const where = `${name}, ${width} px, ${colorScheme}`;
    if (pictures) await page.screenshot({ path: `${pictures}/${name}-${width}-${colorScheme}.png`, fullPage: true });
    const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(isWide, false, `${where} scrolls sideways`);
    await page.addScriptTag({ path: axe });
    const { violations } = await page.evaluate(() => window.axe.run());
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
    assert.deepEqual(found, [], where);
  });
}
await walk({ javaScriptEnabled: false }, async () => {});
await walk({}, async () => {});
await browser.close();
console.log("the device is connected");
