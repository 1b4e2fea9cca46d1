// Ethereum's state, proven: block headers, RLP, and walks through Merkle-Patricia tries.
//
// A proof is a set of trie nodes, found by their hash from a root on down (Yellow Paper, appendices B
// to D; EIP-1186). Who sealed the header is for the caller to judge. As audit/evidence/state_proofs.py.

import { hex } from "../../../core/bytes.js";
import { toBytes, toNumber } from "./curves.js";
import { Failed } from "./faults.js";
import { keccak } from "./keccak.js";

const EMPTY_ROOT = hex(keccak(new Uint8Array([0x80])));
const HEADER_FIELDS = 15;
const MAX_COUNT = 2n ** 64n - 1n;
const MAX_DEPTH = 8;

const isBytes = (item) => item instanceof Uint8Array;
const fail = (code) => {
  throw new Failed(code);
};

/** Trie nodes by their hash. Remembers which were needed. */
export class Nodes {
  #byHash;
  #decoded = new Map();

  constructor(encoded) {
    this.#byHash = new Map(encoded.map((node) => [hex(keccak(node)), node]));
    if (this.#byHash.size !== encoded.length) fail("proof.repeated");
  }

  node(digest) {
    const name = hex(digest);
    if (!this.#decoded.has(name)) {
      const encoded = this.#byHash.get(name) ?? fail("proof.missing");
      this.#decoded.set(name, listed(decodeRlp(encoded)));
    }
    return this.#decoded.get(name);
  }

  get allNeeded() {
    return this.#decoded.size === this.#byHash.size;
  }
}

/** @returns {{hash, parent, coinbase, stateRoot: Uint8Array, number: bigint, time: bigint}} time in Unix seconds */
export function readHeader(encoded) {
  const fields = listed(decodeRlp(encoded));
  if (fields.length < HEADER_FIELDS) fail("header.malformed");
  const [parent, coinbase, stateRoot] = [[0, 32], [2, 20], [3, 32]].map(([at, size]) => {
    if (!isBytes(fields[at]) || fields[at].length !== size) fail("header.malformed");
    return fields[at];
  });
  const [number, time] = [integer(fields[8]), integer(fields[11])];
  if (number > MAX_COUNT || time > MAX_COUNT) fail("header.malformed");
  return { hash: keccak(encoded), parent, coinbase, stateRoot, number, time };
}

/** `{storageRoot, codeHash}`, null when the state has no account there. */
export function accountAt(nodes, stateRoot, address) {
  const found = valueAt(nodes, stateRoot, address);
  if (found === null) return null;
  const fields = listed(decodeRlp(found));
  if (fields.length !== 4) fail("proof.malformed");
  const [, , storageRoot, codeHash] = fields;
  if (!isBytes(storageRoot) || !isBytes(codeHash)) fail("proof.malformed");
  return { storageRoot, codeHash };
}

/** The word in a slot; 0 where the proof shows that it was never set. */
export function storageAt(nodes, storageRoot, slot) {
  const found = valueAt(nodes, storageRoot, toBytes(slot));
  return found === null ? 0n : integer(decodeRlp(found));
}

function valueAt(nodes, root, key) {
  if (hex(root) === EMPTY_ROOT) return null;
  let path = hex(keccak(key));
  let node = nodes.node(root);
  for (;;) {
    let child;
    if (node.length === 17) {
      if (!path) fail("proof.malformed");
      child = node[parseInt(path[0], 16)];
      path = path.slice(1);
    } else if (node.length === 2) {
      const { part, leaf } = partialPath(node[0]);
      if (leaf) {
        if (part !== path) return null;
        return isBytes(node[1]) ? node[1] : fail("proof.malformed");
      }
      if (!part) fail("proof.malformed");
      if (!path.startsWith(part)) return null;
      child = node[1];
      path = path.slice(part.length);
    } else {
      fail("proof.malformed");
    }
    if (isBytes(child) && !child.length) return null;
    // A node shorter than a hash stands in its parent itself.
    if (!isBytes(child)) node = child;
    else node = child.length === 32 ? nodes.node(child) : fail("proof.malformed");
  }
}

/** Hex-prefix encoding: the nibbles, and whether they end at a leaf. */
function partialPath(encoded) {
  if (!isBytes(encoded) || !encoded.length || encoded[0] >> 4 > 3) fail("proof.malformed");
  const odd = (encoded[0] >> 4) & 1;
  if (!odd && encoded[0] & 15) fail("proof.malformed");
  return { part: hex(encoded).slice(odd ? 1 : 2), leaf: encoded[0] >> 4 >= 2 };
}

/** One item that takes all of `data`, in its one encoding: bytes, or a list of items. */
export function decodeRlp(data) {
  const [item, end] = itemAt(data, 0, data.length, 0);
  return end === data.length ? item : fail("rlp.malformed");
}

function itemAt(data, at, limit, depth) {
  if (at >= limit || depth > MAX_DEPTH) fail("rlp.malformed");
  const first = data[at];
  if (first < 0x80) return [data.slice(at, at + 1), at + 1];
  const isList = first >= 0xc0;
  let size = first - (isList ? 0xc0 : 0x80);
  let start = at + 1;
  if (size > 55) {
    const width = size - 55;
    const long = toNumber(data.slice(start, start + width));
    // The shortest form is the only one.
    if (start + width > limit || long <= 55n || data[start] === 0 || long > BigInt(limit)) fail("rlp.malformed");
    size = Number(long);
    start += width;
  }
  const end = start + size;
  if (end > limit) fail("rlp.malformed");
  if (!isList) {
    if (size === 1 && data[start] < 0x80) fail("rlp.malformed");
    return [data.slice(start, end), end];
  }
  const items = [];
  while (start < end) {
    const [item, next] = itemAt(data, start, end, depth + 1);
    items.push(item);
    start = next;
  }
  return [items, end];
}

const listed = (item) => (isBytes(item) ? fail("rlp.malformed") : item);

function integer(item) {
  if (!isBytes(item) || item.length > 32 || item[0] === 0) fail("rlp.malformed");
  return toNumber(item);
}
