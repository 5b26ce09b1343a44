// The person at the browser, for libraries that run without one: redirects and forms, without script.

import assert from "node:assert/strict";

export const { ISSUER, EMAIL, PASSWORD, WEB_SECRET, JOB_SECRET } = process.env;
export const CALLBACK = "http://127.0.0.1:9/cb";

/** A browser without script: one cookie, redirects, forms. */
export class Browser {
  cookie = "";

  async go(url, init = {}) {
    for (let hops = 0; hops < 12; hops += 1) {
      const headers = { ...init.headers, ...(this.cookie && { cookie: this.cookie }) };
      const response = await fetch(url, { ...init, headers, redirect: "manual" });
      for (const line of response.headers.getSetCookie()) this.cookie = line.split(";")[0];
      if (response.status === 303) {
        url = new URL(response.headers.get("location"), url);
        init = {};
        if (!url.href.startsWith(ISSUER)) return url;
        continue;
      }
      const page = await response.text();
      assert.equal(response.status, 200, page);
      const next = this.fill(page);
      if (!next) return page;
      [url, init] = next;
    }
    throw new Error("it goes round in circles");
  }

  fill(page) {
    const request = /name="request" value="([^"]*)"/.exec(page)?.[1];
    const action = /<form method="post" action="([^"]*)"/.exec(page)?.[1];
    if (!request || !action) return undefined;
    const fields = { request };
    if (action === "/login") Object.assign(fields, { identifier: EMAIL, password: PASSWORD });
    if (action === "/consent") fields.decision = "allow";
    return [
      new URL(action, ISSUER),
      { method: "POST", headers: { origin: ISSUER }, body: new URLSearchParams(fields) },
    ];
  }
}

/** Tells the matrix what was done and proved; matrix.rs knows the words. */
export function did(...flows) {
  for (const flow of flows) console.log(`did: ${flow}`);
}
