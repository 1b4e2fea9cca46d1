// The pages' rule for texts, asked at once: {"texts", "typed"} as JSON on stdin; on stdout which of the
// texts hold ("1" or "0" each), what the pages make of what is typed, and what digest this runtime's
// normal forms of the table's characters have.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const modules = process.argv[2];
const { isText } = await import(`${modules}/payloads.js`);
const { ONLY_CHARACTERS } = await import(`${modules}/characters.js`);
const { oneLine } = await import(`${modules}/../../../core/texts.js`);

const hash = createHash("sha256");
for (let codePoint = 0; codePoint < 0x110000; codePoint++) {
  const character = String.fromCodePoint(codePoint);
  if (!ONLY_CHARACTERS.test(character)) continue;
  for (const form of ["NFC", "NFD", "NFKC", "NFKD"]) hash.update(`${character.normalize(form)}\n`);
}
const { texts, typed } = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify({
  held: texts.map((text) => (isText(text) ? "1" : "0")).join(""), lines: typed.map(oneLine), forms: hash.digest("hex"),
}));
