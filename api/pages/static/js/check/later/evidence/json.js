// JSON read strictly: JSON.parse cannot tell that a member stands twice, nor 1.0 from 1.
//
// Objects have no prototype, so that no name of a member means anything to the language. Whole
// numbers are Number where that is exact, else BigInt. None of our formats has a fraction.

import { canonicalJson } from "../../../core/bytes.js";

/** Not JSON, or not as it must be. */
export class JsonError extends Error {}

const DEPTH = 1024;
/** Objects and arrays inside each other, the outermost one counted, in JSON that is signed. */
const SIGNED_DEPTH = 16;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const WORDS = [["true", true], ["false", false], ["null", null]];
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A member that stands twice and a fraction are errors.
 * @param {Uint8Array} bytes
 * @throws {JsonError}
 */
export const readJson = (bytes) => new Reader(decode(bytes), DEPTH).whole();

/**
 * The value whose canonical form (RFC 8785) the bytes are, as everything that is signed must be.
 * @param {Uint8Array} bytes
 * @throws {JsonError}
 */
export function readCanonical(bytes) {
  const text = decode(bytes);
  const value = new Reader(text, SIGNED_DEPTH).whole();
  if (!isPlain(value) || canonicalJson(value) !== text) throw new JsonError("not in its canonical form");
  return value;
}

function decode(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new JsonError("not UTF-8");
  }
}

/** No number beyond 2^53 - 1, and no name of a member beyond ASCII. */
function isPlain(value) {
  if (value === null || typeof value !== "object") return typeof value !== "bigint";
  return (Array.isArray(value) || Object.keys(value).every((name) => /^[\x00-\x7f]*$/.test(name)))
    && Object.values(value).every(isPlain);
}

class Reader {
  #at = 0;

  constructor(text, depth) {
    this.text = text;
    this.depth = depth;
  }

  whole() {
    const value = this.#value(0);
    this.#match(SPACE);
    if (this.#at !== this.text.length) this.#stop("there is more after it");
    return value;
  }

  #value(depth) {
    this.#match(SPACE);
    const first = this.text[this.#at];
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#list(depth + 1);
    if (first === '"') return this.#string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth) {
    const found = Object.create(null);
    this.#items("}", depth, () => {
      this.#match(SPACE);
      const name = this.#string();
      if (name in found) this.#stop("a member stands twice");
      this.#match(SPACE);
      if (!this.#take(":")) this.#stop("a colon is missing");
      found[name] = this.#value(depth);
    });
    return found;
  }

  #list(depth) {
    const found = [];
    this.#items("]", depth, () => found.push(this.#value(depth)));
    return found;
  }

  #items(end, depth, read) {
    if (depth > this.depth) this.#stop("it is nested too deep");
    this.#at += 1;
    this.#match(SPACE);
    if (this.#take(end)) return;
    do {
      read();
      this.#match(SPACE);
    } while (this.#take(","));
    if (!this.#take(end)) this.#stop("an end is missing");
  }

  #string() {
    const text = JSON.parse(this.#match(STRING)?.[0] ?? this.#stop("a text is expected"));
    if (/\p{Surrogate}/u.test(text)) this.#stop("half a character");
    return text;
  }

  #number() {
    const [text, fraction, exponent] = this.#match(NUMBER) ?? this.#stop("a value is expected");
    if (fraction || exponent) this.#stop("a number is not whole");
    const number = Number(text);
    return Number.isSafeInteger(number) ? number + 0 : BigInt(text);
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #take(character) {
    const there = this.text[this.#at] === character;
    if (there) this.#at += 1;
    return there;
  }

  #stop(why) {
    throw new JsonError(`${why}, at character ${this.#at}`);
  }
}
