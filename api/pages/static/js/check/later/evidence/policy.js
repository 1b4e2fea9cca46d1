// Which witnesses must have cosigned a checkpoint: a policy in the text form of C2SP tlog-policy, as
// ledger/proof/quorum.py reads it. Whether a cosignature verifies is for notes.js.

import { LOG_KEY, readVerifier, WITNESS_KEY } from "./notes.js";

const MAX_POLICY = 16_384;
const MAX_LINES = 32;
/** Instead of a name: no cosignature is asked for. */
const NOBODY = "none";
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/;

/** Not a policy. */
export class PolicyError extends Error {}

function require(holds, message) {
  if (!holds) throw new PolicyError(message);
}

/**
 * @returns {Promise<{logs: object[], witnesses: Map<string, object>, groups: Map<string, object>,
 *   quorum: string}>} keys as `readVerifier` has them
 */
export async function readPolicy(text) {
  require([...text].length <= MAX_POLICY && text.endsWith("\n") && !CONTROL.test(text),
    "a policy is lines of at most 16,384 characters, each with its end");
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  const seen = { keys: new Set(), members: new Set() };
  for (const line of text.slice(0, -1).split("\n")) {
    const words = line.replace(/^[ \t]+|[ \t]+$/g, "").split(/[ \t]+/);
    if (words[0] && !words[0].startsWith("#")) await readLine(policy, seen, words);
  }
  require(policy.quorum !== null, "there is no quorum");
  return policy;
}

async function readLine(policy, seen, [kind, ...words]) {
  const { logs, witnesses, groups } = policy;
  const isKnown = (name) => witnesses.has(name) || groups.has(name);
  const isNew = (name) => name !== NOBODY && !isKnown(name);
  if (kind === "log" && [1, 2].includes(words.length)) {
    logs.push(await keyOnce(words[0], LOG_KEY, seen));
  } else if (kind === "witness" && [2, 3].includes(words.length)) {
    require(isNew(words[0]), "a name is defined already");
    witnesses.set(words[0], await keyOnce(words[1], WITNESS_KEY, seen));
  } else if (kind === "group" && words.length > 2) {
    const [name, threshold, ...members] = words;
    require(isNew(name), "a name is defined already");
    for (const member of members) {
      require(isKnown(member), "a member is not defined before");
      require(!seen.members.has(member), "a member stands twice");
      seen.members.add(member);
    }
    groups.set(name, { members, threshold: readThreshold(threshold, members.length) });
  } else {
    require(kind === "quorum" && words.length === 1 && policy.quorum === null, "no line of a policy");
    require(words[0] === NOBODY || isKnown(words[0]), "the quorum is not defined before");
    [policy.quorum] = words;
  }
  require(Math.max(logs.length, witnesses.size, groups.size) <= MAX_LINES, "too many lines of one kind");
}

function readThreshold(written, members) {
  if (written === "any") return 1;
  if (written === "all") return members;
  require(/^[1-9][0-9]?$/.test(written) && Number(written) <= members, "no threshold of so many members");
  return Number(written);
}

/** By whatever name: one key is one witness, and a log is no witness of itself. */
async function keyOnce(written, type, seen) {
  const key = await readVerifier(written, type);
  require(key, "not a verifier key of its kind");
  require(!seen.keys.has(String(key.key)), "a key stands twice");
  seen.keys.add(String(key.key));
  return key;
}

/** Whether those who cosigned, some of the policy's own keys, are a quorum. */
export function isQuorum({ witnesses, groups, quorum }, cosigners) {
  const reached = new Set([...witnesses].filter(([, key]) => cosigners.includes(key)).map(([name]) => name));
  // A group's members stand before it.
  for (const [name, { members, threshold }] of groups) {
    if (members.filter((member) => reached.has(member)).length >= threshold) reached.add(name);
  }
  return quorum === NOBODY || reached.has(quorum);
}
