// The provider's pages in a real browser: on a telephone's and a desktop's width, light and dark, in both languages, looked at by axe;
// and the whole way without script. Arguments: the issuer, Chromium, the user's name and password. With SHOTS a directory for a picture
// of each page.

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

/** Another device of the same user: its requests, as another program sends them. */
async function device(userAgent) {
  const call = async (path, body) => {
    const headers = { "content-type": "application/json", "user-agent": userAgent };
    const answer = await fetch(issuer + path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, ...(await answer.json()) };
  };
  let { refresh_token: token, session } = await call("/session", { identifier: email, password, delivery: "body", device: "Ada's telephone" });
  const refresh = async (used = token) => {
    const answer = await call("/session/refresh", { refresh_token: used });
    token = answer.refresh_token ?? token;
    return answer.status;
  };
  return { refresh, token: () => token, session: session.id };
}

const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
await device("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0");
// One whose token was copied, so that its history has an end.
const copied = await device(chrome);
const first = copied.token();
for (const _ of [1, 2, 3]) assert.equal(await copied.refresh(), 200);
assert.equal(await copied.refresh(first), 401);
const ended = copied.session;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

/** Walks through every page; `look` is called on each. */
async function walk({ script = true, ...options }, look) {
  const context = await browser.newContext({ javaScriptEnabled: script, ...options });
  const page = await context.newPage();
  // The application: it keeps what it was sent.
  let landed;
  await page.route("http://127.0.0.1:9/**", (route) => {
    landed = route.request();
    return route.fulfill({ contentType: "text/html", body: "<!doctype html><title>app</title>" });
  });
  const refused = [];
  page.on("console", (message) => /Content.Security.Policy/i.test(message.text()) && refused.push(message.text()));

  await page.goto(`${issuer}/account`);
  await page.waitForSelector("[name=identifier]");
  await page.goto(request({ prompt: "consent" }));
  await look(page, "login");
  assert.equal(await page.isVisible(".show"), script);
  if (script) {
    await page.check(".show input");
    assert.equal(await page.getAttribute("[name=password]", "type"), "text");
  }
  await page.fill("[name=identifier]", email);
  await page.fill("[name=password]", "not that one");
  await page.click("#submit-button");
  await page.waitForSelector("#problem");
  assert.equal(await page.getAttribute("[name=password]", "type"), "password");
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
  if (!script) {
    await look(page, "form_post");
    await page.click("#submit-button");
  }
  await page.waitForURL(/^http:\/\/127\.0\.0\.1:9\//);
  assert.equal(landed.method(), "POST");
  assert.ok(new URLSearchParams(landed.postData()).get("code"), landed.postData());

  await page.goto(`${issuer}/login`);
  await page.waitForURL(`${issuer}/account`);
  await look(page, "account");
  const devices = page.locator("section[aria-labelledby=devices] li");
  assert.equal(await devices.first().locator(".badge").count(), 1);
  const before = await devices.count();
  // Another device is signed out, and not before the question is answered.
  await device(chrome);
  await page.reload();
  assert.equal(await devices.count(), before + 1);
  const end = devices.filter({ hasNot: page.locator(".badge") }).first().locator("a", { hasText: /Sign out|Abmelden/ });
  await end.click();
  await look(page, "question");
  await page.click("main a.button");
  assert.equal(await devices.count(), before + 1);
  await end.click();
  await page.click("#submit-button");
  await page.waitForSelector("[role=status]");
  assert.equal(await devices.count(), before);
  await look(page, "account, ended");
  await page.goto(`${issuer}/account?view=end-others`);
  await look(page, "question, others");
  await page.goto(`${issuer}/account?view=withdraw&client=shop`);
  await look(page, "question, application");
  await page.goto(`${issuer}/account`);
  await page.locator("section[aria-labelledby=activity] a").last().click();
  await page.waitForSelector("svg.timeline");
  await look(page, "history");
  await page.goto(`${issuer}/account?view=history&session=${ended}`);
  await page.waitForSelector(".timeline .caught");
  await look(page, "history, ended");
  await page.goto(`${issuer}/account?view=password`);
  await look(page, "password");
  await page.fill("[name=current]", password);
  await page.fill("[name=new]", "short");
  await page.click("#submit-button");
  await page.waitForSelector("#problem");
  await look(page, "password, weak");

  await page.goto(`${issuer}/oauth2/logout`);
  await look(page, "logout");
  await page.click("#submit-button");
  await page.waitForSelector("text=/You are signed out|Sie sind abgemeldet/");
  await look(page, "signed out");
  await page.goto(`${issuer}/oauth2/authorize?client_id=nobody`);
  await look(page, "error");
  await page.goto(`${issuer}/error`);
  await look(page, "no error");
  assert.deepEqual(refused, []);
  await context.close();
}

/** What stands in the words of the other language. */
const foreign = { en: /\b(Sie|und|nicht|Ihre?)\b/, de: /\b(you|your|and|the|sign)\b/i };

for (const [locale, width, colorScheme] of [
  ["en-GB", 320, "light"],
  ["en-GB", 1280, "dark"],
  ["de-AT", 320, "dark"],
  ["de-AT", 1280, "light"],
]) {
  // axe is put into the page; the pages' own policy is tested by the walk without script, and on the wire.
  await walk({ viewport: { width, height: 700 }, locale, colorScheme, bypassCSP: true }, async (page, name) => {
    const where = `${name}, ${locale}, ${width} px, ${colorScheme}`;
    const language = locale.slice(0, 2);
    const looks = [[width, colorScheme], [width === 320 ? 1280 : 320, colorScheme]];
    for (const [width, colorScheme] of looks) {
      await page.setViewportSize({ width, height: 700 });
      await page.emulateMedia({ colorScheme });
      const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      assert.equal(isWide, false, `${where} scrolls sideways at ${width} px`);
      await page.addScriptTag({ path: axe });
      const { violations } = await page.evaluate(() => window.axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
      assert.deepEqual(found, [], `${where}, looked at in ${width} px, ${colorScheme}`);
      if (process.env.SHOTS) {
        const file = `${name}-${language}-${width}-${colorScheme}.png`.replaceAll(/[, ]+/g, "_");
        await page.screenshot({ path: `${process.env.SHOTS}/${file}`, fullPage: true });
      }
    }
    await page.setViewportSize({ width, height: 700 });
    assert.equal(await page.getAttribute("html", "lang"), language, where);
    const text = await page.innerText("body");
    assert.doesNotMatch(text.replaceAll("The Shop", ""), foreign[language], where);
  });
}
await walk({ script: false }, async () => {});
// With the policy and with script: the form posts itself, and the pages are led on to the application.
await walk({}, async () => {});
await browser.close();
console.log("every page is as it should be");
