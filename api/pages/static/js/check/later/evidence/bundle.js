// The evidence bundle, version 2, and the trust file, version 2: reading them strictly, as audit/evidence/bundle.py.
//
// Written down in docs/evidence.md. Unknown members, second spellings of the same bytes and parts
// beyond their bounds are broken input. Whether anything in it is true is for protocol.js.

import { base64url, fromBase64, sameBytes } from "../../../core/bytes.js";
import { OPTIONAL, REQUIRED } from "../../../core/entries.js";
import { isOnP256 } from "./curves.js";
import { JsonError, readJson } from "./json.js";
import { LOG_KEY, readVerifier, strictBase64 } from "./notes.js";
import { PolicyError, readPolicy } from "./policy.js";

/** Bytes of a file that anybody may hand in. */
export const MAX_BUNDLE = 2 ** 20;
const MAX = { entries: 200, keys: 100, nodes: 2000, disclosures: 64, proof: 64, blocks: 2, sealers: 99 };
const MAX_HEADER = 16_384;
const MAX_NODE = 1024;
const MAX_CHECKPOINT = 16_384;
const HASH_BYTES = 32;
const SALT_BYTES = 16;

/** What a bundle may be about, and the member that names it. */
export const SUBJECTS = { lookup: "seq", certificate: "certificate_id", grant: "grant_id", dispute: "dispute_id" };
const KINDS = ["issue", "status", "grant", "revocation", "lookup", "dispute", "question", "answer", "resolution",
  "enrolment", "invitation"];
/** Entries whose statement, sent again, may still have an answer worth having. */
const MAY_WITHHOLD = ["lookup", "grant"];

/** Not a bundle, or not a trust file, of these versions: nothing was verified. */
export class BundleError extends Error {}

function require(holds, message) {
  if (!holds) throw new BundleError(message);
}

function load(bytes) {
  try {
    return readJson(bytes);
  } catch (error) {
    if (error instanceof JsonError) throw new BundleError(`not JSON as it must be: ${error.message}`);
    throw error;
  }
}

/**
 * @typedef {{seq: number, time: number, kind: string, actor: string, digest: Uint8Array, shown: object}} Entry
 *   with the optional members, null where it has none; `written` is the entry as it stands
 * @typedef {{entry: Entry, statement: string | null, proof: Uint8Array[]}} Line `statement` null: withheld
 */

/** The bundle in a file's bytes; throws BundleError. */
export function readBundle(bytes) {
  const top = members(load(bytes), "bundle",
    ["v", "kind", "subject", "entries", "keys", "disclosures", "checkpoint", "blocks", "before", "nodes"]);
  require(top.v === 2, "v must be 2");
  require(top.kind === "certledger-evidence", "kind must be certledger-evidence");
  const lines = list(top.entries, "entries").map(readLine);
  require(lines.length, "entries must not be empty");
  require(lines.every(({ entry }, at) => !at || lines[at - 1].entry.seq < entry.seq),
    "entries must be in order, each once");
  const blocks = list(top.blocks, "blocks").map(readBlock);
  require(blocks.length, "blocks must not be empty");
  require([...text(top.checkpoint, "checkpoint")].length <= MAX_CHECKPOINT, "checkpoint is too long");
  return {
    subject: readSubject(top.subject),
    lines,
    keys: list(top.keys, "keys").map(readKey),
    disclosures: list(top.disclosures, "disclosures").map((item) => text(item, "disclosures")),
    checkpoint: top.checkpoint,
    blocks,
    before: bytesOf(top.before, "before", MAX_HEADER),
    nodes: list(top.nodes, "nodes").map((item) => bytesOf(item, "nodes", MAX_NODE)),
  };
}

/** The trust file in a file's bytes; throws BundleError. */
export async function readTrust(bytes) {
  const top = members(load(bytes), "trust", ["v", "kind", "chain", "contracts", "log", "policy"]);
  require(top.v === 2, "v must be 2");
  require(top.kind === "certledger-trust", "kind must be certledger-trust");
  const chain = members(top.chain, "chain", ["id", "genesis", "seal", "sealers"]);
  require(Number.isSafeInteger(chain.id) && chain.id > 0, "chain.id must be a number");
  if (chain.genesis !== null) hexOf(chain.genesis, 32, "chain.genesis");
  require(/^[a-z0-9-]{1,64}$/.test(text(chain.seal, "seal")), "chain.seal must be a name");
  const contracts = members(top.contracts, "contracts", ["directory", "checkpoint_log", "status_registry"]);
  const log = members(top.log, "log", ["origin", "verifier"]);
  const verifier = await readVerifier(text(log.verifier, "log.verifier"), LOG_KEY);
  require(verifier, "log.verifier: not a log's verifier key");
  require(verifier.name === log.origin, "log.origin must be the verifier key's name");
  return {
    chainId: chain.id,
    seal: chain.seal,
    sealers: new Set(list(chain.sealers, "sealers").map((item) => hexOf(item, 20, "sealers"))),
    directory: readContract(contracts.directory),
    checkpointLog: readContract(contracts.checkpoint_log),
    statusRegistry: readContract(contracts.status_registry),
    log: verifier,
    policy: await readPolicyOf(verifier, text(top.policy, "policy")),
  };
}

/** The policy, of this log and not of others; nobody witnesses for themselves. */
async function readPolicyOf(log, written) {
  let policy;
  try {
    policy = await readPolicy(written);
  } catch (error) {
    if (error instanceof PolicyError) throw new BundleError(`policy: ${error.message}`);
    throw error;
  }
  const isThis = ({ name, key }) => name === log.name && sameBytes(key, log.key);
  require(!policy.logs.length || policy.logs.some(isThis), "policy: it is of other logs");
  require(![...policy.witnesses.values()].some(({ key }) => sameBytes(key, log.key)),
    "policy: the log is no witness of itself");
  return policy;
}

function readSubject(value) {
  const kind = object(value, "subject").kind;
  require(typeof kind === "string" && Object.hasOwn(SUBJECTS, kind), "subject.kind is none of ours");
  const name = members(value, "subject", ["kind", SUBJECTS[kind]])[SUBJECTS[kind]];
  if (kind === "lookup") require(isCount(name), "subject.seq must be a number");
  else text(name, "subject");
  return { kind, name };
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

function readLine(value) {
  const top = members(value, "entries", ["entry", "proof"], ["statement"]);
  const entry = readEntry(top.entry);
  const proof = list(top.proof, "proof").map((item) => bytesOf(item, "proof"));
  require(proof.every((item) => item.length === HASH_BYTES), "a hash has 32 bytes");
  const statement = "statement" in top ? text(top.statement, "statement") : null;
  require(statement !== null || MAY_WITHHOLD.includes(entry.kind),
    `the statement of an entry of kind ${entry.kind} is never withheld`);
  return { entry, statement, proof };
}

function readEntry(value) {
  const top = members(value, "entry", REQUIRED, OPTIONAL);
  require(top.v === 2, "not an entry of version 2");
  require(isCount(top.seq) && isCount(top.time), "entry: a number is not one");
  for (const name of Object.keys(top)) {
    require(["v", "seq", "time"].includes(name) || typeof top[name] === "string", `entry: ${name} must be a text`);
  }
  const [digest, salt] = [strictBase64url(top.statement), strictBase64url(top.salt)];
  require(digest?.length === HASH_BYTES, "entry: a digest has 32 bytes");
  require(salt?.length === SALT_BYTES, "entry: a salt has 16 bytes");
  require(KINDS.includes(top.kind), `an entry of kind ${top.kind} proves nothing here`);
  require(["released", "refused", undefined].includes(top.decision), "entry: no such decision");
  const entry = { seq: top.seq, time: top.time, kind: top.kind, actor: top.actor, digest, written: top };
  for (const name of OPTIONAL) entry[name] = top[name] ?? null;
  return entry;
}

function readKey(value) {
  const jwk = members(value, "keys", ["kty", "crv", "x", "y"]);
  require(isKey(jwk), "keys: not a point on P-256");
  return jwk;
}

/** Whether a JWK is a P-256 public key; a coordinate has one spelling. */
export function isKey(jwk) {
  const [x, y] = [jwk.x, jwk.y].map((item) => (typeof item === "string" ? strictBase64url(item) : null));
  return jwk.kty === "EC" && jwk.crv === "P-256" && x?.length === 32 && y?.length === 32 && isOnP256(x, y);
}

function readBlock(value) {
  const top = members(value, "blocks", ["header", "seal"]);
  const seal = members(top.seal, "seal", ["scheme", "signature"]);
  const scheme = text(seal.scheme, "seal.scheme");
  const signature = bytesOf(seal.signature, "seal.signature");
  require(scheme !== "unknown" || !signature.length, "seal.signature: of an unknown scheme there is none");
  return { header: bytesOf(top.header, "header", MAX_HEADER), scheme, signature };
}

function readContract(value) {
  const top = members(value, "contracts", ["address", "code_hash"]);
  return {
    address: Uint8Array.from(hexOf(top.address, 20, "address").match(/../g), (pair) => parseInt(pair, 16)),
    codeHash: hexOf(top.code_hash, 32, "code_hash"),
  };
}

// --- parts ------------------------------------------------------------------------------------------

function object(value, at) {
  require(value !== null && typeof value === "object" && Object.getPrototypeOf(value) === null, `${at} must be an object`);
  return value;
}

function members(value, at, required, optional = []) {
  const found = object(value, at);
  for (const name of required) require(name in found, `${at}: ${name} is missing`);
  for (const name of Object.keys(found)) {
    require(required.includes(name) || optional.includes(name), `${at}: ${name.slice(0, 40)} does not belong here`);
  }
  return found;
}

function list(value, at) {
  require(Array.isArray(value) && value.length <= MAX[at], `${at} must be a list of at most ${MAX[at]}`);
  return value;
}

function text(value, at) {
  require(typeof value === "string", `${at} must be a text`);
  return value;
}

/** Hexadecimal digits in small letters, without their 0x. */
function hexOf(value, size, at) {
  require(text(value, at).length === 2 + 2 * size && /^0x[0-9a-f]+$/.test(value),
    `${at} must be hex in small letters, with 0x`);
  return value.slice(2);
}

function bytesOf(value, at, limit = MAX_BUNDLE) {
  require(text(value, at).length <= Math.floor((limit + 2) / 3) * 4, `${at} is too long`);
  const data = strictBase64(value);
  require(data, `${at} must be base64 in its one form`);
  require(data.length <= limit, `${at} is too long`);
  return data;
}

const decoded = (written, pattern, encode) => {
  const data = pattern.test(written) ? fromBase64(written) : null;
  return data && encode(data) === written ? data : null;
};

/** Without padding, in its one form; null for anything else. */
export const strictBase64url = (written) =>
  (written.length % 4 === 1 ? null : decoded(written, /^[A-Za-z0-9_-]*$/, base64url));

