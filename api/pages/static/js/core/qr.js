// QR symbols (ISO/IEC 18004), drawn here because a code must renew itself without a connection: level
// M, versions 1 to 6, which is up to 154 characters in alphanumeric mode. What that mode does not
// have, such as the beginning of an address, goes before it in byte mode.

const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
/** By version: data codewords, error correction codewords a block, blocks. */
const VERSIONS = [null, [16, 10, 1], [28, 16, 1], [44, 26, 1], [64, 18, 2], [86, 24, 2], [108, 16, 4]];
const QUIET = 4;

const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value = (value << 1) ^ (value & 0x80 ? 0x11d : 0);
}
const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

/** The remainder of Reed-Solomon over GF(256). */
function errorCorrection(data, length) {
  let generator = [1];
  for (let power = 0; power < length; power++) {
    const longer = [...generator, 0];
    generator.forEach((factor, at) => (longer[at + 1] ^= times(factor, EXP[power])));
    generator = longer;
  }
  const rest = [...data, ...new Array(length).fill(0)];
  for (let at = 0; at < data.length; at++) {
    const lead = rest[at];
    if (lead) generator.forEach((factor, offset) => (rest[at + offset] ^= times(factor, lead)));
  }
  return rest.slice(data.length);
}

const binary = (number, length) => number.toString(2).padStart(length, "0");

function bitsOf(text) {
  const chars = [...text];
  const begin = chars.findLastIndex((char) => !ALPHANUMERIC.includes(char)) + 1;
  const bytes = [...new TextEncoder().encode(chars.slice(0, begin).join(""))];
  const rest = chars.slice(begin).map((char) => ALPHANUMERIC.indexOf(char));
  let bits = bytes.length ? "0100" + binary(bytes.length, 8) + bytes.map((byte) => binary(byte, 8)).join("") : "";
  if (!rest.length) return bits;
  bits += "0010" + binary(rest.length, 9);
  for (let at = 0; at < rest.length; at += 2) {
    bits += at + 1 < rest.length ? binary(rest[at] * 45 + rest[at + 1], 11) : binary(rest[at], 6);
  }
  return bits;
}

function codewords(bits, [capacity, corrections, blocks]) {
  bits = (bits + "0000").slice(0, capacity * 8);
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, "0");
  const data = bits.match(/.{8}/g).map((byte) => parseInt(byte, 2));
  for (let pad = 0xec; data.length < capacity; pad ^= 0xec ^ 0x11) data.push(pad);
  const size = capacity / blocks;
  const parts = Array.from({ length: blocks }, (_, block) => data.slice(block * size, (block + 1) * size));
  const checks = parts.map((part) => errorCorrection(part, corrections));
  const interleaved = (rows) => rows[0].flatMap((_, at) => rows.map((row) => row[at]));
  return [...interleaved(parts), ...interleaved(checks)];
}

const MASKS = [
  (y, x) => (y + x) % 2,
  (y) => y % 2,
  (_, x) => x % 3,
  (y, x) => (y + x) % 3,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2,
  (y, x) => ((y * x) % 2) + ((y * x) % 3),
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2,
];

/** Level M and the mask, as 15 bits with their BCH code. */
function formatBits(mask) {
  let rest = mask << 10;
  for (let bit = 14; bit >= 10; bit--) if ((rest >> bit) & 1) rest ^= 0x537 << (bit - 10);
  return ((mask << 10) | rest) ^ 0x5412;
}

function drawFunctionPatterns(version) {
  const size = 17 + 4 * version;
  const modules = Array.from({ length: size }, () => new Array(size).fill(null));
  const set = (y, x, dark) => {
    if (y >= 0 && x >= 0 && y < size && x < size) modules[y][x] = dark;
  };
  for (const [top, left] of [[0, 0], [0, size - 7], [size - 7, 0]]) {
    for (let y = -1; y <= 7; y++) {
      for (let x = -1; x <= 7; x++) {
        const ring = Math.max(Math.abs(y - 3), Math.abs(x - 3));
        set(top + y, left + x, ring !== 2 && ring !== 4);
      }
    }
  }
  if (version > 1) {
    for (let y = -2; y <= 2; y++) {
      for (let x = -2; x <= 2; x++) set(size - 7 + y, size - 7 + x, Math.max(Math.abs(y), Math.abs(x)) !== 1);
    }
  }
  for (let at = 8; at < size - 8; at++) {
    modules[6][at] = modules[at][6] = at % 2 === 0;
  }
  drawFormat(modules, 0);
  return modules;
}

function drawFormat(modules, mask) {
  const size = modules.length;
  const bits = formatBits(mask);
  const bit = (at) => ((bits >> at) & 1) === 1;
  for (let at = 0; at < 15; at++) {
    const vertical = at < 6 ? at : at < 8 ? at + 1 : size - 15 + at;
    const horizontal = at < 8 ? size - 1 - at : at === 8 ? 7 : 14 - at;
    modules[vertical][8] = bit(at);
    modules[8][horizontal] = bit(at);
  }
  modules[size - 8][8] = true;
}

function penalty(modules) {
  const size = modules.length;
  let points = 0;
  let dark = 0;
  const lines = [...modules, ...modules.map((_, x) => modules.map((row) => row[x]))];
  for (const line of lines) {
    const text = line.map((module) => (module ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) points += run.length - 2;
    for (let at = 0; at + 11 <= size; at++) {
      const part = text.slice(at, at + 11);
      if (part === "10111010000" || part === "00001011101") points += 40;
    }
  }
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      dark += modules[y][x];
      if (y && x && new Set([modules[y][x], modules[y - 1][x], modules[y][x - 1], modules[y - 1][x - 1]]).size === 1) points += 3;
    }
  }
  return points + Math.floor(Math.abs((dark * 20) / (size * size) - 10)) * 10;
}

/**
 * The symbol without its quiet zone, row by row; true is dark.
 * @throws {RangeError} for text that version 6-M cannot hold
 */
export function qrMatrix(text) {
  if (!text) throw new RangeError("nothing to draw");
  const bits = bitsOf(text);
  const version = VERSIONS.findIndex((shape) => shape && bits.length <= shape[0] * 8);
  if (version < 0) throw new RangeError("too long");
  const fixed = drawFunctionPatterns(version);
  const stream = codewords(bits, VERSIONS[version]).flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1));
  const size = fixed.length;
  const places = [];
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5; // the timing pattern's column
    for (let step = 0; step < size; step++) {
      const y = up ? size - 1 - step : step;
      for (const x of [right, right - 1]) if (fixed[y][x] === null) places.push([y, x]);
    }
  }
  let best;
  MASKS.forEach((mask, number) => {
    const modules = fixed.map((row) => [...row]);
    places.forEach(([y, x], at) => (modules[y][x] = (stream[at] === 1) !== (mask(y, x) === 0)));
    drawFormat(modules, number);
    const points = penalty(modules);
    if (!best || points < best.points) best = { points, modules };
  });
  return best.modules;
}

/** Draw on a canvas, black on white whatever the theme: many scanners cannot read it inverted. */
export function drawQr(canvas, text) {
  const modules = qrMatrix(text);
  const whole = modules.length + 2 * QUIET;
  const scale = Math.max(1, Math.floor(Math.min(1000, 10 * whole) / whole));
  canvas.width = canvas.height = whole * scale;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  modules.forEach((row, y) => row.forEach((dark, x) => {
    if (dark) context.fillRect((x + QUIET) * scale, (y + QUIET) * scale, scale, scale);
  }));
}
