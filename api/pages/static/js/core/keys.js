// Device keys: made here, never leaving; the browser signs with them and cannot export them.
//
// One key per slot (the page that uses it), so that one browser can be a phone and a counter.

import { base64url, sha256, utf8 } from "./bytes.js";

const DATABASE = "certledger";
const STORE = "keys";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "slot" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Run `act(store)` in one transaction; resolves with its request's result. */
export async function inStore(mode, act) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/**
 * `ledger` is the one that the key was made for: it signs for no other.
 * @typedef {{slot: string, ledger: string, kid: string, jwk: object, privateKey: CryptoKey}} DeviceKey
 */

/** @returns {Promise<DeviceKey | undefined>} */
export const loadKey = (slot) => inStore("readonly", (store) => store.get(slot));

export const saveKey = (key) => inStore("readwrite", (store) => store.put(key));

/** The key, and what was kept under it (kept.js). */
export const forgetKey = (slot) => inStore("readwrite", (store) => store.delete(IDBKeyRange.bound(slot, `${slot}-kept`)));

/** A new key, not stored yet: it is kept once it is enrolled at that ledger. */
export async function makeKey(slot, ledger) {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const jwk = { kty, crv, x, y };
  return { slot, ledger, kid: await thumbprint(jwk), jwk, privateKey: pair.privateKey };
}

/** RFC 7638. */
export async function thumbprint({ crv, kty, x, y }) {
  return base64url(await sha256(utf8(JSON.stringify({ crv, kty, x, y }))));
}
