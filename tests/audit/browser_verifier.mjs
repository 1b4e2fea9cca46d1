// The pages' own verifier of evidence bundles, asked line by line: {"bundle", "trust"} in base64 on
// stdin, its report or "broken" on stdout.

import { createInterface } from "node:readline";

const modules = process.argv[2];
const { verifyEvidence } = await import(`${modules}/protocol.js`);
const { BundleError } = await import(`${modules}/bundle.js`);
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

for await (const line of createInterface({ input: process.stdin })) {
  const { bundle, trust } = JSON.parse(line);
  let answer;
  try {
    answer = await verifyEvidence(bytes(bundle), bytes(trust));
  } catch (error) {
    answer = error instanceof BundleError ? "broken" : { crashed: String(error.stack) };
  }
  console.log(JSON.stringify(answer));
}
