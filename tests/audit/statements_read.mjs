// What the pages' verifier says of tokens, in Node.js and in a browser alike: steps 2 and 3 of its
// protocol, as far as one statement tells them. A code for each, "" for what it takes.
//
//     node statements_read.mjs MODULES < {"tokens", "jwk", "kid", "ledger"}

export async function readAll(modules, { tokens, jwk, kid, ledger }) {
  const { openStatement, readHeader } = await import(`${modules}/statements.js`);
  const { readPayload } = await import(`${modules}/payloads.js`);
  const { Failed, FormError } = await import(`${modules}/faults.js`);

  async function read(token) {
    const header = readHeader(token);
    if (header.kid !== kid) throw new Failed("signature.no_key");
    const { payload } = await openStatement(token, header, jwk, ledger);
    readPayload(header.kind, payload);
  }

  const found = [];
  for (const token of tokens) {
    try {
      await read(token);
      found.push("");
    } catch (error) {
      const code = error instanceof FormError ? "statement.form" : error.code;
      if (!(error instanceof Failed || error instanceof FormError)) throw error;
      found.push(code);
    }
  }
  return found;
}

if (globalThis.process?.argv[2]) {
  const { readFileSync } = await import("node:fs");
  console.log(JSON.stringify(await readAll(process.argv[2], JSON.parse(readFileSync(0, "utf-8")))));
}
