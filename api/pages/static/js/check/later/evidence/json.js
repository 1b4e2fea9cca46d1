// JSON read strictly: JSON.parse cannot tell that a member stands twice, nor 1.0 from 1.
//
// Objects have no prototype, so that no name of a member means anything to the language. Whole
// numbers are Number where that is exact, else BigInt; what has a fraction or an exponent is a
// Fraction, which equals nothing.

/** Not JSON, or not as it must be. */
export class JsonError extends Error {}

/** A number that is not whole: none of our formats has one. */
export class Fraction {
  constructor(text) {
    this.text = text;
  }
}

const DEPTH = 1024;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const WORDS = [["true", true], ["false", false], ["null", null]];
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * @param {Uint8Array} bytes
 * @param {{once?: boolean}} options `once`: a member that stands twice and a fraction are errors;
 *   without it the last of them counts, as in what was signed
 * @throws {JsonError}
 */
export function readJson(bytes, { once = true } = {}) {
  let text;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new JsonError("not UTF-8");
  }
  return new Reader(text, once).whole();
}

class Reader {
  #at = 0;

  constructor(text, once) {
    this.text = text;
    this.once = once;
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
      if (this.once && name in found) this.#stop("a member stands twice");
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
    if (depth > DEPTH) this.#stop("it is nested too deep");
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
    if (fraction || exponent) {
      if (this.once) this.#stop("a number is not whole");
      if (!Number.isFinite(Number(text))) this.#stop("a number is too large");
      return new Fraction(text);
    }
    const number = Number(text);
    if (Number.isSafeInteger(number)) return number + 0;
    const exact = BigInt(text);
    // What signed payloads are read with has no larger integers.
    if (this.once || (exact >= -(2n ** 63n) && exact < 2n ** 64n)) return exact;
    if (!Number.isFinite(number)) this.#stop("a number is too large");
    return new Fraction(text);
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
