// The demo page's script. It holds the access token in memory, renews it in time, and shows what the server decided.
// The page itself is made by the server: after each action it is asked for again, and what changed is put in place.
'use strict';

/** The access token, and when it came, by the clock that never jumps. */
let token = null;
/** One action at a time; the buttons keep their focus meanwhile. */
let isBusy = false;

const find = (selector) => document.querySelector(selector);
const state = () => find('main').dataset.state;
const seconds = () => performance.now() / 1000;

/** A call to the server: its status and its JSON. */
async function call(method, path, body) {
  const reply = await fetch(path, {
    method,
    headers: body ? { 'content-type': 'application/json' } : {},
    body: body && JSON.stringify(body),
  });
  const text = await reply.text();
  return { status: reply.status, json: text ? JSON.parse(text) : {} };
}

function keep(reply) {
  token = { value: reply.access_token, came: seconds(), lives: reply.expires_in, renewIn: reply.refresh_in };
}

/** Asks for the page and puts in place what changed. `played` is the sentence about what was done. */
async function show(played, decided = true) {
  const headers = token ? { authorization: `Bearer ${token.value}` } : {};
  const text = await (await fetch('/demo', { headers })).text();
  const page = new DOMParser().parseFromString(text, 'text/html');
  const fresh = page.querySelector('main');
  if (fresh.dataset.state === state()) {
    for (const id of ['verdict', 'picture', 'steps']) {
      const part = fresh.querySelector(`#${id}`);
      if (part) find(`#${id}`).replaceWith(part);
    }
  } else {
    find('main').replaceWith(fresh);
    document.title = page.title;
    if (fresh.dataset.state !== 'in') token = null;
    find('h1').focus();
  }
  prepare();
  const told = find('#told');
  if (!told) return;
  told.firstElementChild.textContent = played;
  find('#verdict').hidden = !decided;
  // On a phone what happened may be below the fold. After an end the headline matters more.
  if (state() === 'in') find('#result').scrollIntoView({ block: 'nearest' });
}

/** The session API's refresh: the browser brings the cookie, and gets the next one. */
async function renew(played) {
  const reply = await call('POST', '/session/refresh');
  if (reply.status === 200) keep(reply.json);
  const isOver = reply.status === 200 || reply.status === 401;
  await show(isOver ? played : `${played} ${reply.json.detail}`, isOver);
}

const plays = {
  renew: () => renew('The browser sent its refresh token.'),
  async lose() {
    const reply = await call('POST', '/demo/lose');
    await renew(reply.json.played);
  },
  async tabs() {
    const reply = await call('POST', '/demo/tabs');
    if (reply.json.tokens) keep(reply.json.tokens);
    await show(reply.json.played);
  },
  async thief() {
    const reply = await call('POST', '/demo/thief');
    await show(reply.json.played);
  },
  async 'sign-out'() {
    const reply = await call('DELETE', '/session');
    await show(reply.status === 204 ? 'You signed out.' : reply.json.detail, reply.status === 204);
  },
};

/** Does one thing after the other, and says so if the server is gone. */
async function alone(action) {
  if (isBusy) return;
  isBusy = true;
  find('main').setAttribute('aria-busy', 'true');
  try {
    await action();
  } catch (error) {
    const place = find('#told p') ?? find('#sign-in-error');
    place.hidden = false;
    place.textContent = 'The demo does not answer. If it was stopped, start it again with “regrant demo”.';
    console.warn(error);
  } finally {
    isBusy = false;
    find('main').removeAttribute('aria-busy');
  }
}

async function signIn(form) {
  const { identifier, password } = Object.fromEntries(new FormData(form));
  const reply = await call('POST', '/session', { identifier, password });
  if (reply.status === 200) {
    keep(reply.json);
    await show('You signed in.');
    return;
  }
  const error = find('#sign-in-error');
  error.textContent =
    reply.json.code === 'invalid_credentials'
      ? 'The e-mail address or the password is wrong. Correct it and sign in again.'
      : reply.json.detail;
  error.hidden = false;
  find('#password').setAttribute('aria-invalid', 'true');
  find('#password').focus();
}

const clock = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, '0')}`;

/** Once a second: how old the access token is, and whether it is time to renew. */
function tick() {
  if (state() !== 'in' || !token) return;
  const age = seconds() - token.came;
  const left = Math.max(0, token.renewIn - age);
  find('#age').max = token.lives;
  find('#age').value = Math.min(age, token.lives);
  find('#age-words').textContent =
    `${clock(age)} old of ${clock(token.lives)}. This page renews it by itself in ${clock(left)}.`;
  if (left === 0) alone(() => renew(`The access token was ${clock(age)} old, so the page renewed it by itself.`));
}

/** The newest bead is at the right end of the drawing. */
function showNewest() {
  const drawing = find('.drawing');
  if (drawing) drawing.scrollLeft = drawing.scrollWidth;
}

/** What a page that was just put in place needs. */
function prepare() {
  tick();
  showNewest();
  const show = find('.show');
  if (show) show.hidden = false;
}

document.addEventListener('click', (event) => {
  const play = plays[event.target.closest('[data-play]')?.dataset.play];
  if (play) alone(play);
});
document.addEventListener('submit', (event) => {
  event.preventDefault();
  alone(() => signIn(event.target));
});
document.addEventListener('change', (event) => {
  if (event.target.id === 'show-password') find('#password').type = event.target.checked ? 'text' : 'password';
});
window.addEventListener('resize', showNewest);
setInterval(tick, 1000);
prepare();
if (state() === 'in') {
  alone(() => renew('This page was opened anew, so it had no access token. The browser still had its refresh token.'));
}
