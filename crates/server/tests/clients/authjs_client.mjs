// npm @auth/core, unmodified, as frameworks run it: a function from requests to responses. The application's own origin is only a
// name here, since the browser is played and nothing listens there.

import { Auth, customFetch } from "@auth/core";
import assert from "node:assert/strict";
import { Browser, did, EMAIL, ISSUER, WEB_SECRET } from "./walk.mjs";

const ORIGIN = "https://app.example";

/** The application, and what its user's browser keeps of it. */
class Application {
  cookies = new Map();
  account = undefined;
  asked = [];

  constructor(provider) {
    this.config = {
      basePath: "/auth",
      secret: "only for tests: anybody can read this",
      trustHost: true,
      logger: { error: (error) => { throw error; } },
      providers: [{
        id: "regrant",
        name: "Regrant",
        type: "oidc",
        issuer: ISSUER,
        clientId: "web",
        clientSecret: WEB_SECRET,
        authorization: { params: { scope: "openid profile email" } },
        // PKCE is its default; the others are asked for.
        checks: ["pkce", "state", "nonce"],
        [customFetch]: (...request) => {
          this.asked.push(new URL(request[0]).pathname);
          return fetch(...request);
        },
        ...provider,
      }],
      callbacks: {
        jwt: ({ token, account }) => {
          this.account ??= account;
          return token;
        },
      },
    };
  }

  async ask(path, form) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const init = form && { method: "POST", body: new URLSearchParams(form) };
    const answer = await Auth(new Request(new URL(path, ORIGIN), { ...init, headers: { cookie } }), this.config);
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/max-age=0/i.test(line) || value === "") this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  async post(path) {
    const { csrfToken } = await (await this.ask("/auth/csrf")).json();
    return this.ask(path, { csrfToken, callbackUrl: `${ORIGIN}/home` });
  }

  async signIn(browser) {
    const away = await this.post("/auth/signin/regrant");
    assert.equal(away.status, 302);
    const landed = await browser.go(away.headers.get("location"));
    assert.equal(landed.origin + landed.pathname, `${ORIGIN}/auth/callback/regrant`);
    const back = await this.ask(landed.href);
    assert.equal(back.headers.get("location"), `${ORIGIN}/home`, await back.text());
    return (await this.ask("/auth/session")).json();
  }
}

const browser = new Browser();
const plain = new Application({});
assert.ok((await plain.signIn(browser)).user);
// It looks for name and e-mail in the ID token, and they are at userinfo (OpenID Connect Core §5.4): see below.
assert.ok(plain.account.id_token && plain.account.refresh_token && plain.account.providerAccountId.startsWith("usr_"));
did("discovery", "code", "id_token");
await plain.post("/auth/signout");
assert.equal(await (await plain.ask("/auth/session")).json(), null);

// One that asks userinfo, and authenticates in the other way.
const asking = new Application({ idToken: false, client: { token_endpoint_auth_method: "client_secret_post" } });
const { user } = await asking.signIn(browser);
assert.deepEqual([user.name, user.email], ["Ada", EMAIL]);
assert.ok(asking.asked.includes("/oauth2/userinfo"), String(asking.asked));
did("userinfo");
