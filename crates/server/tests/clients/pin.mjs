// What a browser is told so that it trusts one key besides its own authorities.

import { createHash, X509Certificate } from "node:crypto";

/** For --ignore-certificate-errors-spki-list. */
export function pin(certificate) {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}
