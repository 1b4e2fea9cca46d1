// What WebCrypto has no part of: recovering the signer of a secp256k1 signature (SEC 1, 4.1.6), and
// whether a point is on P-256. All of it public data, so that time may tell what it likes.

import { concat } from "../../../core/bytes.js";
import { keccak } from "./keccak.js";

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
  1n,
];
const P256 = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

export function toNumber(bytes) {
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  return number;
}

/** 32 bytes, big-endian. */
export function toBytes(number) {
  const bytes = new Uint8Array(32);
  for (let at = 31, rest = BigInt(number); at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 255n);
  return bytes;
}

const mod = (a, m) => ((a % m) + m) % m;

function inverse(a, m) {
  let [r, next, s, step] = [m, mod(a, m), 0n, 1n];
  while (next) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [s, step] = [step, s - quotient * step];
  }
  return mod(s, m);
}

function power(base, exponent) {
  let result = 1n;
  for (let b = base, e = exponent; e; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
}

// Points in Jacobian coordinates; z = 0 is the point at infinity.
const NOWHERE = [1n, 1n, 0n];

function twice([x, y, z]) {
  const yy = (y * y) % P;
  const s = (4n * x * yy) % P;
  const m = (3n * x * x) % P;
  const x3 = mod(m * m - 2n * s, P);
  return [x3, mod(m * (s - x3) - 8n * yy * yy, P), (2n * y * z) % P];
}

function plus(a, b) {
  if (!a[2]) return b;
  if (!b[2]) return a;
  const [za, zb] = [(a[2] * a[2]) % P, (b[2] * b[2]) % P];
  const [u, v] = [(a[0] * zb) % P, (b[0] * za) % P];
  const [s, t] = [(a[1] * zb * b[2]) % P, (b[1] * za * a[2]) % P];
  const [h, r] = [mod(v - u, P), mod(t - s, P)];
  if (!h) return r ? NOWHERE : twice(a);
  const hh = (h * h) % P;
  const hhh = (h * hh) % P;
  const x = mod(r * r - hhh - 2n * u * hh, P);
  return [x, mod(r * (u * hh - x) - s * hhh, P), (h * a[2] * b[2]) % P];
}

/** j·a + k·b, both on one way. */
function sum(j, a, k, b) {
  const both = plus(a, b);
  let result = NOWHERE;
  for (let bit = 255n; bit >= 0n; bit--) {
    result = twice(result);
    const [first, second] = [(j >> bit) & 1n, (k >> bit) & 1n];
    if (first || second) result = plus(result, first && second ? both : first ? a : b);
  }
  return result;
}

/**
 * The Ethereum address that signed `digest`; null where the bytes are no signature r ‖ s ‖ v, or the
 * one of two that say the same which has the higher s.
 */
export function recover(signature, digest) {
  if (signature.length !== 65 || signature[64] > 3) return null;
  const [r, s, v] = [toNumber(signature.slice(0, 32)), toNumber(signature.slice(32, 64)), signature[64]];
  if (!r || r >= N || !s || s > N / 2n) return null;
  const x = r + (v > 1 ? N : 0n);
  if (x >= P) return null;
  const square = (x * x * x + 7n) % P;
  let y = power(square, (P + 1n) / 4n);
  if ((y * y) % P !== square) return null;
  if ((y & 1n) !== BigInt(v & 1)) y = P - y;
  const back = inverse(r, N);
  const [px, py, pz] = sum(mod(s * back, N), [x, y, 1n], mod(-toNumber(digest) * back, N), G);
  if (!pz) return null;
  const flat = inverse(pz, P);
  const squared = (flat * flat) % P;
  return keccak(concat(toBytes((px * squared) % P), toBytes((py * squared * flat) % P))).slice(12);
}

/** Whether these coordinates, 32 bytes each, are a point on P-256. */
export function isOnP256(xBytes, yBytes) {
  const [x, y] = [toNumber(xBytes), toNumber(yBytes)];
  return x < P256 && y < P256 && (y * y - x * x * x + 3n * x - P256_B) % P256 === 0n;
}
