// npm's `jose` on the other side: reads one batch of tasks from stdin and answers all of them on stdout.

import * as jose from 'jose'
import { readFileSync } from 'node:fs'

const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64url'))
const text = (array) => Buffer.from(array).toString('base64url')

const work = {
  async sign({ alg, key, payload }) {
    return new jose.CompactSign(bytes(payload)).setProtectedHeader({ alg }).sign(await jose.importJWK(key, alg))
  },
  async verify({ alg, key, token }) {
    const result = await jose.compactVerify(token, await jose.importJWK(key, alg), { algorithms: [alg] })
    return text(result.payload)
  },
  async encrypt({ alg, enc, key, payload }) {
    const encrypt = new jose.CompactEncrypt(bytes(payload)).setProtectedHeader({ alg, enc })
    return encrypt.encrypt(await jose.importJWK(key, alg))
  },
  async decrypt({ alg, enc, key, token }) {
    const accept = {
      keyManagementAlgorithms: [alg],
      contentEncryptionAlgorithms: [enc],
      maxPBES2Count: 1_000_000,
    }
    const result = await jose.compactDecrypt(token, await jose.importJWK(key, alg), accept)
    return text(result.plaintext)
  },
}

const answers = []
for (const task of JSON.parse(readFileSync(0, 'utf8'))) {
  try {
    answers.push({ answer: await work[task.work](task) })
  } catch (error) {
    answers.push({ error: `${error.code ?? error.name}: ${error.message}` })
  }
}
process.stdout.write(JSON.stringify(answers))
