// Where the contracts keep what, and what stands there: as ledger/chain/layout.py.

import { concat, sha256, utf8 } from "../../../core/bytes.js";
import { toBytes, toNumber } from "./curves.js";
import { FormError } from "./faults.js";
import { keccak } from "./keccak.js";

/** Roles in the directory; fixed for ever. */
export const ROLES = { operator: 1n, issuer: 2n, terminal: 3n, auditor: 4n };

const MASK = 2n ** 64n - 1n;

const pair = (slot) => [slot, slot + 1n];

const named = async (kind, name) => sha256(utf8(`certledger ${kind}\0${name}`));

export const institutionId = async (code) => toNumber(await named("institution", code));

export const logId = (origin) => named("log", origin);

function mapped(slot, key) {
  if (key?.length !== 32) throw new FormError();
  return toNumber(keccak(concat(toBytes(slot), key)));
}

/** Whose a key is, and the terms on which it is in the directory. */
export const directorySlots = (thumbprint) => pair(mapped(2, thumbprint));

/** Role; then Unix seconds, where a `revokedAt` of 0 is none. */
export const splitTerms = (word) => ({
  role: word >> 192n,
  notBefore: (word >> 128n) & MASK,
  notAfter: (word >> 64n) & MASK,
  revokedAt: word & MASK,
});

/** State, and the digest of the statement that set it. */
export const statusSlots = (commitment) => pair(mapped(3, commitment));

/** The newest size of a log, above the number of the block that anchored it. */
export const headSlot = (ofLog) => mapped(3, ofLog);

export const sizeInHead = (word) => word >> 64n;

export const rootSlot = (ofLog, size) => mapped(mapped(4, ofLog), toBytes(size));
