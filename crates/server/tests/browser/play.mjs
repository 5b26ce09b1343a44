// Plays the demo page in a real browser: node play.mjs URL CHROMIUM DIRECTORY
//
// The whole story on a phone's and a desktop's width, in light and dark; the browser is closed and opened again in the middle.
// Nothing here sleeps: every step waits for what it brings about. With SHOTS=DIR in the environment each state is a picture.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, executablePath, directory] = process.argv.slice(2);
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };
const NARROWEST = { width: 320, height: 640 };
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** What the browser complained of, and was not expected to. */
const complaints = [];
/** Answers of 401 are part of the story where they are announced here. */
let mayBeRefused = false;

async function open(profile, options = {}) {
  const context = await chromium.launchPersistentContext(join(directory, profile), {
    executablePath, args: FLAGS, viewport: PHONE, colorScheme: 'light', ...options,
  });
  context.setDefaultTimeout(15_000);
  const page = context.pages()[0];
  page.on('console', (message) => {
    const isRefusal = mayBeRefused && message.text().includes('status of 401');
    if (['error', 'warning'].includes(message.type()) && !isRefusal) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) complaints.push(`a request to ${request.url()}`);
  });
  return { context, page };
}

/** Looks at the page in both widths and both schemes: nothing sticks out, and axe finds nothing. */
async function inspect(page, name) {
  for (const viewport of [DESKTOP, NARROWEST, PHONE]) {
    await page.setViewportSize(viewport);
    const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= room, `${name} is ${content} px wide in a window of ${room} px`);
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      if (process.env.SHOTS) {
        await page.screenshot({ path: join(process.env.SHOTS, `${name}-${viewport.width}-${colorScheme}.png`), fullPage: true });
      }
      if (viewport === NARROWEST) continue;
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
      assert.deepEqual(told, [], `axe, ${name}, ${colorScheme}, ${viewport.width} px`);
    }
  }
}

/** Waits until the page is at rest and tells `words` as what happened. */
async function told(page, ...words) {
  await page.waitForFunction(
    (words) => {
      const said = document.querySelector('#told')?.textContent ?? '';
      return !document.querySelector('main[aria-busy]') && words.every((word) => said.includes(word));
    },
    words,
  ).catch(async (error) => {
    const said = await page.locator('body').innerText();
    throw new Error(`waited for ${JSON.stringify(words)} and read:\n${said}`, { cause: error });
  });
}

const play = (page, move) => page.locator(`[data-play="${move}"]`).click();
const beads = (page, kind) => page.locator(`svg.timeline rect.${kind}`).count();
const labels = (page) => page.locator('svg.timeline text.label').allTextContents();

async function story() {
  let { context, page } = await open('ada');
  await page.goto(url);
  await inspect(page, '1-signed-out');

  mayBeRefused = true;
  await page.fill('[name=password]', 'not hers');
  await page.click('#submit-button');
  await page.locator('#sign-in-error', { hasText: 'is wrong. Correct it' }).waitFor();
  assert.equal(await page.inputValue('[name=identifier]'), 'ada@example.com', 'what was typed is kept');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
  await inspect(page, '2-wrong-password');
  mayBeRefused = false;

  // By keyboard alone.
  await page.fill('[name=password]', 'the difference engine, 1822');
  await page.press('[name=password]', 'Enter');
  await told(page, 'You signed in.', 'Refresh token 1 was issued.');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'the focus goes where the page changed');
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['regrant-dev', true, 'Strict']);
  assert.ok(cookie.expires > Date.now() / 1000 + 6 * 24 * 3600, 'the cookie outlives the browser');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees it');
  await page.locator('#age-words', { hasText: 'old of 15:00' }).waitFor();
  await inspect(page, '3-signed-in');

  await play(page, 'renew');
  await told(page, 'Refresh token 1 was used for the first time, so token 2 took its place.');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.play), 'renew', 'the button keeps the focus');
  await play(page, 'lose');
  await told(page, 'The reply was lost', 'Refresh token 2 was used again', 'It got the same token 3');
  assert.equal(await beads(page, 'hollow'), 1);
  await play(page, 'tabs');
  await told(page, 'Five tabs', 'Refresh token 3 was used again 4 times', 'the same token 4');
  assert.ok((await labels(page)).includes('again ×4'));
  await inspect(page, '4-played');

  // The browser is closed. Its memory is gone, its cookie is not.
  await context.close();
  ({ context, page } = await open('ada'));
  await page.clock.install();
  await page.goto(url);
  await told(page, 'opened anew', 'Refresh token 4 was used for the first time, so token 5 took its place.');
  assert.equal(await page.locator('h1').textContent(), 'Signed in as ada@example.com');

  // The access token grows old.
  await page.clock.fastForward('14:00');
  await told(page, 'so the page renewed it by itself', 'token 6 took its place');

  await play(page, 'thief');
  await told(page, 'You copied the refresh token', 'Refresh token 6', 'Chrome on Windows', 'One use alone proves nothing.');
  assert.equal(await beads(page, 'issued.below'), 1);
  await play(page, 'renew');
  await told(page, 'Refresh token 6 was used again', 'one of the two may hold a copy', '2 of 3 points');
  await inspect(page, '5-noticed');
  await play(page, 'renew');
  await told(page, 'Refresh token 7 was used for the first time, so token 8 took its place.');
  await play(page, 'thief');
  await page.locator('h1', { hasText: 'The session ended' }).waitFor();
  await told(page, 'were turned away', 'two parties held it, so the session ended');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  await page.getByText('an old refresh token was used again, so two parties held it.', { exact: false }).first().waitFor();
  assert.equal(await beads(page, 'caught'), 1);
  const shown = await labels(page);
  assert.ok(shown.includes('ended:') && shown.includes('reused'), String(shown));
  const drawing = page.getByRole('img', { name: 'Timeline of a session of ada@example.com' });
  assert.match(await drawing.locator('desc').textContent(), /The line ends: an old refresh token was used again/);
  await inspect(page, '6-ended');
  await page.reload();
  await told(page, 'two parties held it, so the session ended');

  // Once more: sign in from there, and sign out.
  await page.click('#submit-button');
  await told(page, 'You signed in.', 'Refresh token 1 was issued.');
  await play(page, 'sign-out');
  await page.locator('h1', { hasText: 'The session ended' }).waitFor();
  await told(page, 'You signed out.', 'The session ended: the user signed out on this device.');
  await inspect(page, '7-signed-out');
  assert.deepEqual(await context.cookies(), [], 'a sign-out clears the cookie');
  await page.reload();
  await page.locator('h1', { hasText: 'Sign in' }).waitFor();
  await context.close();
}

/** Signing in needs no script; the page says what does. */
async function storyWithoutScript() {
  const { context, page } = await open('plain', { javaScriptEnabled: false });
  await page.goto(url);
  mayBeRefused = true;
  await page.fill('[name=password]', 'not hers');
  await page.click('#submit-button');
  await page.locator('#sign-in-error', { hasText: 'is wrong. Correct it' }).waitFor();
  mayBeRefused = false;
  await page.fill('[name=password]', 'the difference engine, 1822');
  await page.click('#submit-button');
  await page.locator('h1', { hasText: 'Signed in as ada@example.com' }).waitFor();
  assert.equal(page.url(), url);
  await page.locator('noscript .notice').waitFor();
  await page.locator('#verdict', { hasText: 'Refresh token 1 was issued.' }).waitFor();
  await context.close();
}

await story();
await storyWithoutScript();
assert.deepEqual(complaints, [], 'the browser complained');
console.log('everything happened as told');
