// The numbered protocol by which a bundle is verified (docs/evidence.md), with nothing but the bundle
// and the trust file: nobody is asked, nothing is sent, no clock is read. The same checks, outcomes
// and codes as audit/evidence/verification.py, which a test holds it to.

import { canonicalJson, concat, hex, sameBytes, sha256, utf8 } from "../../../core/bytes.js";
import { isClosed } from "../../../core/entries.js";
import { readBundle, readTrust, strictBase64url, SUBJECTS } from "./bundle.js";
import * as claims from "./claims.js";
import { recover, toBytes, toNumber } from "./curves.js";
import { Failed, FormError, Gap } from "./faults.js";
import { keccak } from "./keccak.js";
import {
  directorySlots, headSlot, institutionId, logId, ROLES, rootSlot, sizeInHead, splitTerms, statusSlots,
} from "./layout.js";
import { cosignatures, isSignedBy, readNote, strictBase64 } from "./notes.js";
import { readGrant } from "./payloads.js";
import { isQuorum } from "./policy.js";
import { accountAt, Nodes, readHeader, storageAt } from "./state.js";
import { openStatement, readHeader as readTokenHeader } from "./statements.js";

const EMBEDDED_SEAL = "certledger-seal-1";
/** A clock may be set back by so much; also how far a block's time may lie before an entry's. */
const CLOCK_STEP = 60_000;
/** The last second that a calendar of four digits has: no witness is right about a later one. */
const LAST_SECOND = 253_402_300_799n;
/** Not proven for want of something that a bundle, or a browser, can have. */
const GAPS = [
  "statement.withheld", "seal.unknown_scheme", "block.unsealed", "earlier.failed", "browser.unsupported",
];
/** Facts that are read from a block. */
const OF_BLOCKS = ["block", "recorded_by", "status"];
/** What no bundle shows, whatever its checks say. */
export const LIMITS = ["holder", "absence", "allowance", "validity", "time"];
const NEVER_CHANGED = { state: "active", digest: 0n };
const STATES = ["active", "suspended", "revoked", "superseded"];

const ABOUT = {
  lookup: ["lookup", "seq"], certificate: ["issue", "certificate"], grant: ["grant", "grant"],
  dispute: ["dispute", "subject"],
};
const ALLOWED = {
  lookup: ["lookup", "grant", "revocation", "issue", "status", "enrolment", "invitation"],
  certificate: ["issue", "status"],
  grant: ["grant", "revocation", "enrolment", "invitation"],
  dispute: ["dispute", "question", "answer", "resolution", "lookup", "grant", "issue", "enrolment", "invitation"],
};
const SEVERAL = ["status", "enrolment", "invitation", "question", "answer"];
/** Entries that belong to the one that they need. */
const FOLLOWS = ["status", "revocation", "question", "answer", "resolution"];
const OF_DISPUTE = [["dispute", "subject", "subject", true]];
/**
 * What must have come before: an entry of that kind, with a member that this member names, and whether this
 * one must be there.
 */
const NEEDS = {
  status: [["issue", "certificate", "certificate", true]],
  // Of one grant, or of all that a device gave.
  revocation: [["grant", "grant", "grant", false], ["grant", "actor", "subject", false]],
  lookup: [["grant", "grant", "grant", false], ["issue", "certificate", "certificate", false]],
  question: OF_DISPUTE,
  answer: OF_DISPUTE,
  resolution: OF_DISPUTE,
};

/**
 * @typedef {{number: number, name: string, outcome: "proven" | "failed" | "not_proven", code: string,
 *   told: object, seq?: number}} Check `told` is what the code's words are about
 * @typedef {{subject: object, verdict: "verified" | "failed" | "incomplete", checks: Check[], facts: object}} Report
 */

/**
 * Run the protocol on the bytes of both files; throws BundleError for what is no bundle, or no trust
 * file, of the versions that this verifier knows.
 * @returns {Promise<Report>}
 */
export async function verifyEvidence(bundle, trust) {
  return new Protocol(readBundle(bundle), await readTrust(trust)).run();
}

/** The steps, and what the earlier ones leave for the later ones. */
class Protocol {
  keysUsed = new Set();
  linesUsed = new Set();
  statements = new Map();
  agreed = new Set();
  checkpoint = null;
  headers = [];
  nodes = null;
  facts = {};
  /** Of an engine whose seal this version does not know: what its blocks say is checked, not proven. */
  unsealed = false;
  readBlock = false;
  failed = false;

  constructor(bundle, trust) {
    this.bundle = bundle;
    this.trust = trust;
    this.lines = bundle.lines;
  }

  async run() {
    const checks = [];
    for (const [number, name, step] of this.steps()) {
      checks.push(await outcomeOf(number, name, () => this.conditional(step)));
      this.failed ||= checks.at(-1).outcome === "failed";
    }
    if (this.unsealed) for (const name of OF_BLOCKS) delete this.facts[name];
    const open = checks.some(({ outcome, code }) => outcome === "not_proven" && GAPS.includes(code));
    return {
      subject: { kind: this.bundle.subject.kind, [SUBJECTS[this.bundle.subject.kind]]: this.bundle.subject.name },
      verdict: this.failed ? "failed" : open ? "incomplete" : "verified",
      checks,
      // Nothing of a forged bundle may be read as if it were a result.
      facts: this.failed ? {} : this.facts,
    };
  }

  /** Where nobody's seal vouches for a block, what agrees with it is not proven by it. */
  async conditional(step) {
    this.readBlock = false;
    const done = await step.call(this);
    if (this.unsealed && this.readBlock) throw new Gap("block.unsealed");
    return done;
  }

  steps() {
    const about = (...kinds) => this.lines.some(({ entry }) => kinds.includes(entry.kind));
    return [
      [1, "subject", this.subject],
      [2, "signatures", this.signatures],
      [3, "entries", this.entries],
      [4, "checkpoint", this.checkpointSigned],
      [5, "inclusion", this.inclusion],
      [6, "seal", this.seal],
      [7, "anchor", this.anchor],
      [8, "recorded", this.recorded],
      [9, "keys", this.keys],
      [10, "enrolments", this.enrolments],
      [11, "order", this.order],
      about("lookup") && [12, "grant", this.grant],
      about("issue", "status") && [13, "status", this.status],
      this.bundle.disclosures.length > 0 && [14, "disclosures", this.disclosures],
      about("dispute", "resolution") && [15, "dispute", this.dispute],
      [16, "complete", this.complete],
    ].filter(Boolean);
  }

  // --- what is in the bundle ---------------------------------------------------------------------------

  of(...kinds) {
    return this.lines.filter(({ entry }) => kinds.includes(entry.kind));
  }

  /** The only entry of the kind with that member; null for none or several. */
  one(kind, member, value) {
    const found = this.of(kind).filter(({ entry }) => entry[member] === value);
    return found.length === 1 ? found[0] : null;
  }

  about() {
    const { kind, name } = this.bundle.subject;
    const line = this.one(...ABOUT[kind], name);
    if (!line) throw new Failed("subject.missing");
    return line.entry;
  }

  /** What was signed, once signature and entry were found to be right. */
  said({ entry, statement }) {
    if (statement === null) throw new Gap("statement.withheld");
    if (!this.agreed.has(entry.seq)) throw new Gap("earlier.failed");
    return this.statements.get(entry.seq).payload;
  }

  // --- 1 to 5: statements, entries, log ----------------------------------------------------------------

  subject() {
    const entry = this.about();
    const single = new Set();
    for (const { entry: { kind, seq } } of this.lines) {
      if (!ALLOWED[this.bundle.subject.kind].includes(kind) || single.has(kind)) {
        throw new Failed("subject.foreign", seq);
      }
      if (!SEVERAL.includes(kind)) single.add(kind);
    }
    this.linesUsed.add(entry.seq);
    this.facts.entry = shown(entry);
    return ["subject.found", { seq: entry.seq }];
  }

  async signatures() {
    const keys = new Map();
    for (const jwk of this.bundle.keys) keys.set(await claims.thumbprint(jwk), jwk);
    const faults = [];
    for (const { entry: { seq }, statement: token } of this.lines) {
      if (token === null) continue;
      try {
        const header = readTokenHeader(token);
        const jwk = keys.get(header.kid);
        if (!jwk) throw new Failed("signature.no_key");
        this.statements.set(seq, await openStatement(token, header, jwk, this.trust.log.name));
        this.keysUsed.add(header.kid);
      } catch (error) {
        if (!(error instanceof Failed)) throw error;
        faults.push(new Failed(error.code, seq));
      }
    }
    if (faults.length) throw faults[0];
    if (this.statements.size < this.lines.length) throw new Gap("statement.withheld");
    return ["signature.valid", { count: this.statements.size }];
  }

  async entries() {
    const faults = [];
    for (const { entry } of this.lines) {
      const statement = this.statements.get(entry.seq);
      try {
        if (!isClosed(entry.written)) throw new Failed("entry.members", entry.seq);
        if (!statement) continue;
        await claims.agrees(entry, statement);
        this.agreed.add(entry.seq);
      } catch (error) {
        if (!(error instanceof Failed)) throw error;
        faults.push(error);
      }
    }
    if (faults.length) throw faults[0];
    for (const line of this.lines) this.said(line);
    return ["entry.agrees", {}];
  }

  /** Origin, size and root: other lines of text and second spellings would be covered by nothing. */
  async checkpointSigned() {
    const { log } = this.trust;
    const note = readNote(this.bundle.checkpoint);
    const [origin, size, rootText, ...rest] = note?.body.split("\n") ?? [];
    const root = strictBase64(rootText ?? "");
    const right = note !== null && rest.length === 1 && !rest[0] && origin === log.name
      && /^(?:0|[1-9][0-9]{0,18})$/.test(size) && root?.length === 32;
    const signed = right ? await isSignedBy(note, log) : false;
    if (signed === null) {
      // What builds on it goes on: whether the chain holds this very checkpoint can be told.
      this.checkpoint = { size: BigInt(size), root };
      throw new Gap("browser.unsupported");
    }
    if (!signed) throw new Failed("checkpoint.invalid");
    const witnesses = await this.witnesses(note);
    this.checkpoint = { size: BigInt(size), root };
    const told = { origin, size: toSafe(this.checkpoint.size) };
    this.facts.checkpoint = { ...told, root: `0x${hex(root)}` };
    if (!witnesses.length) return ["checkpoint.signed", told];
    this.facts.checkpoint.witnesses = witnesses;
    return ["checkpoint.witnessed", { ...told, witnesses: witnesses.map(({ name }) => name).join(", ") }];
  }

  /** Who cosigned, of those that the trust file names, in its order. */
  async witnesses(note) {
    const { policy } = this.trust;
    const found = await cosignatures(note, policy.witnesses.values());
    if (!found) throw new Failed("checkpoint.cosignature");
    // What was cosigned was there: no entry that is shown can be younger, but for the clocks.
    const youngest = Math.max(...this.lines.map(({ entry }) => entry.time));
    for (const { time } of found) {
      if (time < 1n || time > LAST_SECOND || 1000 * Number(time) + 999 < youngest - CLOCK_STEP) {
        throw new Failed("checkpoint.witness_time");
      }
    }
    if (!isQuorum(policy, found.map(({ key }) => key))) throw new Failed("checkpoint.quorum");
    return found.map(({ key, time }) => ({ name: key.name, time: Number(time) }));
  }

  async inclusion() {
    const { size, root } = this.needCheckpoint();
    for (const { entry, proof } of this.lines) {
      const leaf = await sha256(concat(new Uint8Array([0]), utf8(canonicalJson(entry.written))));
      const found = await climb(leaf, BigInt(entry.seq), size, proof);
      if (!found) throw new Failed("inclusion.malformed", entry.seq);
      if (!sameBytes(found, root)) throw new Failed("inclusion.other_root", entry.seq);
    }
    return ["inclusion.proven", { size: toSafe(size) }];
  }

  // --- 6 to 8: chain -----------------------------------------------------------------------------------

  seal() {
    const { blocks } = this.bundle;
    if (blocks.some(({ scheme }) => scheme !== this.trust.seal)) throw new Failed("seal.other_scheme");
    if (this.trust.seal !== EMBEDDED_SEAL) {
      this.unsealed = true;
      this.headers = readableHeaders(blocks);
      throw new Gap("seal.unknown_scheme");
    }
    const headers = blocks.map(({ header }) => readHeader(header));
    for (const [at, { hash, coinbase }] of headers.entries()) {
      const signed = concat(utf8("certledger seal 1"), toBytes(this.trust.chainId), hash);
      const signer = recover(blocks[at].signature, keccak(signed));
      if (!signer || !this.trust.sealers.has(hex(signer)) || !sameBytes(signer, coinbase)) {
        throw new Failed("seal.invalid");
      }
    }
    this.headers = headers;
    return ["seal.valid", { chain_id: this.trust.chainId, blocks: headers.map(({ number }) => toSafe(number)) }];
  }

  async anchor() {
    const [now, { size, root }] = [this.now(), this.needCheckpoint()];
    const slot = rootSlot(await this.logId(), size);
    if (this.word(now, this.trust.checkpointLog, slot) !== toNumber(root)) throw new Failed("anchor.other_root");
    this.facts.block = blockShown(now);
    return ["anchor.held", { block: toSafe(now.number) }];
  }

  async recorded() {
    const [now, then] = [this.now(), this.then()];
    if (this.headers.length > 1 && then.number >= now.number) throw new Failed("recorded.order");
    const head = this.word(then, this.trust.checkpointLog, headSlot(await this.logId()));
    const newest = this.lines.at(-1).entry.seq;
    if (sizeInHead(head) <= newest) throw new Failed("recorded.later", newest);
    const latest = 1000n * then.time + 999n + BigInt(CLOCK_STEP);
    for (const { entry } of this.lines) if (entry.time > latest) throw new Failed("recorded.time", entry.seq);
    await this.notBefore(then);
    this.facts.recorded_by = blockShown(then);
    return ["recorded.by", { block: toSafe(then.number), time: toSafe(then.time), entry_time_ms: this.about().time }];
  }

  /**
   * The block before did not have what this one recorded, which bounds its time from below: nobody had a
   * reason to keep it for longer than the clocks may be off.
   */
  async notBefore(then) {
    const before = readHeader(this.bundle.before);
    const follows = before.number === then.number - 1n;
    // Engines that hash their headers in another way have no seal that is known here either.
    if (!follows || !(this.unsealed || sameBytes(before.hash, then.parent))) throw new Failed("recorded.order");
    const size = sizeInHead(this.word(before, this.trust.checkpointLog, headSlot(await this.logId())));
    const about = this.about();
    const first = about.kind === "lookup" ? about : this.lines.at(-1).entry;
    if (size > first.seq) throw new Failed("recorded.earlier", first.seq);
    const earliest = 1000n * before.time - BigInt(CLOCK_STEP);
    for (const { entry: { seq, time } } of this.lines) {
      if (seq >= size && time < earliest) throw new Failed("recorded.backdated", seq);
    }
  }

  // --- 9 to 11: who and when ---------------------------------------------------------------------------

  async keys() {
    const signed = this.lines.filter(({ entry }) => !this.isApproval(entry))
      .map(({ entry }) => [entry, institutional(entry)]).filter(([, wanted]) => wanted);
    const now = this.now();
    for (const [entry, { roles, institution }] of signed) {
      const key = this.directory(now, entry.actor);
      if (key.role === 0n) throw new Failed("key.unknown", entry.seq);
      if (!roles.includes(key.role)) throw new Failed("key.role", entry.seq);
      if (institution !== null && key.institution !== await institutionId(institution)) {
        throw new Failed("key.institution", entry.seq);
      }
      const second = secondOf(entry);
      if (second < key.notBefore || second >= key.notAfter) throw new Failed("key.validity", entry.seq);
      if (key.revokedAt && second > key.revokedAt) throw new Failed("key.revoked", entry.seq);
    }
    return signed.length ? ["key.trusted", { block: toSafe(now.number) }] : ["key.none", {}];
  }

  /** Whether it is the word of a holder's device on another one. */
  isApproval(entry) {
    return this.statements.get(entry.seq)?.payload.what === "device";
  }

  async enrolments() {
    const acting = this.lines.map(({ entry }) => entry).filter((entry) => isHolders(entry) || entry.kind === "lookup");
    for (const entry of acting) {
      if (isHolders(entry)) {
        this.requireScope(entry, await this.device(entry));
        continue;
      }
      const made = this.one("enrolment", "subject", entry.actor);
      if (!made || made.entry.seq >= entry.seq) throw new Failed("enrolment.missing", entry.seq);
      const { said, invited } = this.letIn(made, entry);
      claims.madeTerminal(made.entry, said, invited, entry);
    }
    return [acting.length ? "enrolment.proven" : "enrolment.none", {}];
  }

  /** What an enrolment says, and the invitation that it claims. */
  letIn(made, used) {
    const [enrolment, said] = [made.entry, this.said(made)];
    this.linesUsed.add(enrolment.seq);
    let invited = null;
    if (claims.isClaim(this.statements.get(enrolment.seq))) invited = this.invitation(used, enrolment, said);
    // Nobody enrols themselves without having been invited.
    else if (enrolment.actor === enrolment.subject) throw new Failed("enrolment.other_role", enrolment.seq);
    return { said, invited };
  }

  /** The department whose certificates alone the device spoke for when it signed; null for all. */
  async device(used) {
    const enrolments = this.lines.filter(({ entry }) =>
      entry.kind === "enrolment" && entry.subject === used.actor && entry.seq < used.seq && !isHalt(entry));
    if (!enrolments.length) throw new Failed("enrolment.missing", used.seq);
    if (this.isFrozen(used.actor, used)) throw new Failed("enrolment.suspended", used.seq);
    for (const line of enrolments) {
      const { said, invited } = this.letIn(line, used);
      claims.madeHolder(line.entry, said, invited);
      const scope = line.entry.department;
      if (this.isApproval(line.entry) && await this.device(line.entry) !== null) {
        throw new Failed("enrolment.scope", line.entry.seq);
      }
      if (scope !== null && this.departmentOf(line) !== await institutionId(scope)) {
        throw new Failed("enrolment.scope", line.entry.seq);
      }
    }
    const [first, last] = [enrolments[0], enrolments.at(-1)];
    // A second word is another department's, or an own device's, and the last one.
    if (first !== last && (enrolments.length > 2 || first.entry.department === null
      || last.entry.department !== null || this.departmentOf(first) === this.departmentOf(last))) {
      throw new Failed("enrolment.scope", last.entry.seq);
    }
    return last.entry.department;
  }

  /** Whether by what is shown a holder's device was frozen at an entry. */
  isFrozen(device, at) {
    let frozen = false;
    for (const line of this.lines) {
      const { entry } = line;
      if (!isHalt(entry) || entry.subject !== device || entry.seq >= at.seq) continue;
      this.said(line);
      this.linesUsed.add(entry.seq);
      frozen = entry.state === "suspended";
    }
    return frozen;
  }

  /** Whether by what is shown the grant was revoked before an entry; `order` says that it is of this grant. */
  isRevoked(at) {
    const revocations = this.of("revocation").filter(({ entry }) => entry.seq < at.seq);
    for (const line of revocations) this.said(line);
    return revocations.length > 0;
  }

  /** The institution, as the directory names it, on whose word a device was let in; null for an own device's. */
  departmentOf(line) {
    if (this.isApproval(line.entry)) return null;
    const { invitation } = this.said(line);
    const inviting = invitation && this.one("invitation", "subject", invitation);
    return this.directory(this.now(), (inviting || line).entry.actor).institution;
  }

  requireScope(used, scope) {
    if (scope === null) return;
    for (const line of this.lines.filter(({ entry }) => entry.kind === "grant")) {
      // 1.2.156.3005.2.<type>.<issuer>.…
      const beyond = [...readGrant(this.said(line)).fields.keys()].some((id) => id.split(".")[6] !== scope);
      if (beyond) throw new Failed("enrolment.scope", used.seq);
    }
  }

  invitation(entry, claim, said) {
    if (!("invitation" in said)) throw new FormError();
    const line = this.one("invitation", "subject", said.invitation);
    if (!line) throw new Failed("enrolment.missing", entry.seq);
    this.linesUsed.add(line.entry.seq);
    const invited = { entry: line.entry, payload: this.said(line) };
    const { revokedAt } = this.directory(this.now(), line.entry.actor);
    // Whoever is trusted no more invites nobody any more.
    if (revokedAt && secondOf(claim) > revokedAt) throw new Failed("enrolment.invitation", claim.seq);
    return invited;
  }

  order() {
    let highest = 0;
    for (const { entry } of this.lines) {
      if (entry.time < highest - CLOCK_STEP) throw new Failed("order.times", entry.seq);
      highest = Math.max(highest, entry.time);
    }
    for (const { entry } of this.lines) {
      for (const [kind, member, namedBy, needed] of NEEDS[entry.kind] ?? []) {
        if (entry[namedBy] === null && !needed) continue;
        const earlier = this.one(kind, member, entry[namedBy])?.entry;
        // Whom a grant was refused to need not be shown it.
        if (!earlier && entry.decision === "refused") continue;
        if (!earlier) throw new Failed("order.missing", entry.seq);
        if (earlier.seq >= entry.seq) throw new Failed("order.broken", entry.seq);
        this.linesUsed.add(earlier.seq);
        if (FOLLOWS.includes(entry.kind)) this.linesUsed.add(entry.seq);
      }
    }
    return ["order.kept", {}];
  }

  // --- 12 to 15: what it is about ----------------------------------------------------------------------

  grant() {
    const [lookup] = this.of("lookup");
    const { entry } = lookup;
    const reason = { reason: entry.reason };
    const said = this.said(lookup);
    const granted = entry.grant === null ? null : this.one("grant", "grant", entry.grant);
    const refused = entry.decision === "refused";
    if (refused && !granted) throw new Gap(entry.grant ? "grant.not_shown" : "grant.none_named", reason);
    if (!granted) throw new Failed("grant.missing", entry.seq);
    const grant = readGrant(this.said(granted));
    const frozen = this.isFrozen(granted.entry.actor, entry);
    const revoked = this.isRevoked(entry);
    if (refused) {
      if (!claims.refusedRightly(grant, entry, said, { revoked })) throw new Gap("grant.refused", reason);
      return ["grant.refused_rightly", reason];
    }
    claims.covers(grant, entry, said);
    if (revoked) throw new Failed("grant.grant_revoked", entry.seq);
    if (frozen) throw new Failed("grant.grant_frozen", entry.seq);
    const issued = this.one("issue", "certificate", entry.certificate);
    if (!issued) throw new Failed("status.no_certificate", entry.seq);
    claims.validThen(this.said(issued), entry);
    return ["grant.covers", {}];
  }

  status() {
    const issues = this.of("issue");
    if (issues.length !== 1) throw new Failed("status.no_certificate");
    const issued = issues[0].entry;
    const changes = this.of("status").map(({ entry }) => entry);
    for (const { certificate, department, seq } of changes) {
      if (certificate !== issued.certificate || department !== issued.department) {
        throw new Failed("status.other_issuer", seq);
      }
    }
    const shown = claims.replay(changes);
    if (this.bundle.subject.kind === "certificate") return this.statusAsShown(issued, shown, changes);
    if (this.bundle.subject.kind === "dispute") return this.statusOfDispute(issued);
    return this.statusThen(issued, shown, changes);
  }

  statusAsShown(issued, shown, changes) {
    if (!isSame(this.registered(this.now(), issued), shown)) throw new Failed("status.not_as_shown");
    const told = this.statusFact(shown.state, this.now());
    const erased = changes.find((entry) => entry.state === "erased");
    if (erased) {
      this.facts.erased = { seq: erased.seq, time_ms: erased.time };
      return ["status.erased", { ...told, seq: erased.seq }];
    }
    return [changes.length ? "status.as_shown" : "status.never_changed", told];
  }

  /** Its bundle ends with the dispute: what the state was at the lookup is not shown. */
  statusOfDispute(issued) {
    if (isSame(this.registered(this.now(), issued), NEVER_CHANGED)) return this.neverChanged();
    const then = this.then();
    const { state } = this.registered(then, issued);
    throw new Gap("status.later", { state, block: toSafe(then.number), time: toSafe(then.time) });
  }

  /**
   * All changes that the block which recorded the lookup had are shown; those before the lookup must have
   * left the certificate one to release from.
   */
  statusThen(issued, shown, changes) {
    const [about, then, now] = [this.about(), this.then(), this.registered(this.now(), issued)];
    const unchanged = isSame(now, NEVER_CHANGED);
    if (!isSame(unchanged ? now : this.registered(then, issued), shown)) throw new Failed("status.not_as_shown");
    const earlier = changes.filter(({ seq }) => seq < about.seq);
    const { state } = claims.replay(earlier);
    const erased = earlier.some((entry) => entry.state === "erased");
    if (about.decision === "released" && (state !== "active" || erased)) {
      throw new Failed("status.not_active", about.seq);
    }
    if (unchanged) return this.neverChanged();
    const told = this.statusFact(state, then);
    return ["status.as_of", { ...told, now: toSafe(this.now().number), state_now: now.state }];
  }

  neverChanged() {
    return ["status.never_changed", this.statusFact("active", this.now())];
  }

  statusFact(state, header) {
    this.facts.status = { state, ...blockShown(header) };
    return { state, block: toSafe(header.number), time: toSafe(header.time) };
  }

  async disclosures() {
    const [entry, issues] = [this.about(), this.of("issue")];
    if (entry.kind !== "lookup" || issues.length !== 1) throw new Failed("disclosure.not_released");
    const lookup = this.lines.find((line) => line.entry === entry);
    const [asked, certificate] = [this.said(lookup), this.said(issues[0])];
    const fields = new Map();
    for (const encoded of this.bundle.disclosures) {
      const { name, value } = await claims.disclosed(encoded, certificate, entry, asked);
      if (fields.has(name)) throw new Failed("disclosure.repeated");
      fields.set(name, value);
    }
    this.facts.fields = Object.fromEntries(fields);
    return ["disclosure.proven", { count: fields.size }];
  }

  dispute() {
    const [disputes, resolutions] = [this.of("dispute"), this.of("resolution")];
    if (disputes.length !== 1 || resolutions.length > 1) throw new Failed("dispute.other_entry");
    const dispute = disputes[0].entry;
    const said = this.said(disputes[0]);
    const disputed = this.lines.find(({ entry }) => entry.seq === said.seq)?.entry;
    if (!disputed) throw new Failed("dispute.other_entry", dispute.seq);
    this.linesUsed.add(disputed.seq);
    const resolved = resolutions[0]?.entry ?? null;
    const asked = this.of("question").map(({ entry }) => entry);
    const answers = this.of("answer").map((line) => ({ entry: line.entry, asked: this.said(line).seq }));
    const followed = [...asked, ...answers.map(({ entry }) => entry), ...(resolved ? [resolved] : [])];
    claims.ofDispute(dispute, said, disputed, followed);
    const questions = claims.ofQuestions(asked, answers, disputed, resolved);
    this.facts.dispute = { disputed: shown(disputed), questions };
    const { seq } = disputed;
    // Or left out: that it is open still, nothing here shows.
    if (!resolved) return ["dispute.resolution_not_shown", { seq }];
    const { state } = resolved;
    this.facts.dispute.resolution = { seq: resolved.seq, outcome: state, time_ms: resolved.time };
    return ["dispute.agrees", { seq, state }];
  }

  complete() {
    // What a check that failed would have needed is not known.
    if (this.failed || !this.headers.length || !this.nodes) throw new Gap("earlier.failed");
    // Nor what one that stopped for a statement that is withheld would have.
    if (this.lines.some(({ statement }) => statement === null)) throw new Gap("statement.withheld");
    if (this.bundle.keys.length !== this.keysUsed.size || !this.nodes.allNeeded) {
      throw new Failed("complete.superfluous");
    }
    for (const { entry } of this.lines) {
      if (!this.linesUsed.has(entry.seq)) throw new Failed("complete.superfluous", entry.seq);
    }
    return ["complete.needed", {}];
  }

  // --- what the chain says -----------------------------------------------------------------------------

  logId() {
    return logId(this.trust.log.name);
  }

  needCheckpoint() {
    if (!this.checkpoint) throw new Gap("earlier.failed");
    return this.checkpoint;
  }

  /** The block at which everything is proven. */
  now() {
    this.readBlock = true;
    if (!this.headers.length) throw new Gap("earlier.failed");
    return this.headers[0];
  }

  /** The block that the bundle shows as the first with all these entries. */
  then() {
    this.now();
    return this.headers.at(-1);
  }

  /** What the contract's storage holds as of the block. */
  word(header, contract, slot) {
    this.nodes ??= new Nodes(this.bundle.nodes);
    const account = accountAt(this.nodes, header.stateRoot, contract.address);
    if (!account) throw new Failed("contract.missing");
    if (hex(account.codeHash) !== contract.codeHash) throw new Failed("contract.other_code");
    return storageAt(this.nodes, account.storageRoot, slot);
  }

  /** Whose a key is by the directory, and on which terms. */
  directory(header, kid) {
    const [institution, terms] = directorySlots(strictBase64url(kid))
      .map((slot) => this.word(header, this.trust.directory, slot));
    return { institution, ...splitTerms(terms) };
  }

  /** State and digest of the last change as of the block. */
  registered(header, issued) {
    const [number, digest] = statusSlots(issued.digest)
      .map((slot) => this.word(header, this.trust.statusRegistry, slot));
    const state = number < 4n ? STATES[number] : null;
    if (!state) throw new Failed("status.not_as_shown");
    return { state, digest };
  }
}

/** None where they are of another form, and nothing can be read from them. */
function readableHeaders(blocks) {
  try {
    return blocks.map(({ header }) => readHeader(header));
  } catch (error) {
    if (error instanceof Failed) return [];
    throw error;
  }
}

async function outcomeOf(number, name, step) {
  try {
    const [code, told] = await step();
    return { number, name, outcome: "proven", code, told };
  } catch (error) {
    if (error instanceof Gap) return { number, name, outcome: "not_proven", code: error.code, told: error.told };
    const failed = { number, name, outcome: "failed", code: "statement.form", told: {} };
    if (error instanceof FormError) return failed;
    if (!(error instanceof Failed)) throw error;
    return { ...failed, code: error.code, ...(error.seq === undefined ? {} : { seq: error.seq }) };
  }
}

/** RFC 9162 2.1.3.2: the root that the proof leads to, null where it has another shape. */
async function climb(leaf, seq, size, proof) {
  if (seq >= size) return null;
  let [node, last, hash] = [seq, size - 1n, leaf];
  for (const sibling of proof) {
    if (last === 0n) return null;
    const left = (node & 1n) === 1n || node === last;
    hash = await sha256(left ? concat(ONE, sibling, hash) : concat(ONE, hash, sibling));
    while (left && (node & 1n) === 0n && node !== 0n) {
      node >>= 1n;
      last >>= 1n;
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? hash : null;
}

const ONE = new Uint8Array([1]);

const secondOf = (entry) => BigInt(Math.floor(entry.time / 1000));

/** Whether a holder's device is frozen or restored by it. */
const isHalt = ({ kind, reason }) => kind === "enrolment" && reason !== null;

function isHolders({ kind, state, reason }) {
  if (isHalt({ kind, reason })) return reason === "holder";
  if (kind === "resolution") return state === "withdrawn";
  if (kind === "answer") return reason === "holder";
  return ["grant", "revocation", "dispute"].includes(kind);
}

/**
 * Roles, one of which the signer must have in the directory, and its institution where the entry tells
 * it; null for holders and for keys that enrol themselves.
 */
function institutional(entry) {
  const { kind, department } = entry;
  const of = (institution, ...roles) => ({ institution, roles: roles.map((role) => ROLES[role]) });
  if (kind === "issue" || kind === "status") return of(department ?? "", "issuer");
  if (kind === "lookup") return of(department ?? "", "terminal");
  if (kind === "answer") return isHolders(entry) ? null : of(department ?? "", "issuer", "terminal");
  if (kind === "question") return of(null, "auditor");
  if (kind === "resolution") return isHolders(entry) ? null : of(null, "auditor");
  if (isHalt(entry)) {
    return isHolders(entry) ? null : of(null, ...["issuer", "auditor"].filter((role) => role === entry.reason));
  }
  // Departments let in holders' devices, operators all other keys. A terminal's enrolment names its post, a
  // device's at most the department that vouches for it.
  if (kind === "invitation") return of(null, department === null ? "issuer" : "operator");
  if (kind === "enrolment" && entry.actor !== entry.subject) return of(null, entry.terminal === null ? "issuer" : "operator");
  return null;
}

/** The entry without what only proves it; of a dispute without its state, which may be another by now. */
function shown({ kind, written: { v, salt, statement, ...members } }) {
  if (kind === "dispute") delete members.state;
  return members;
}

const isSame = (one, other) => one.state === other.state && one.digest === other.digest;

/** A number as such where that is exact. */
const toSafe = (number) => (number <= Number.MAX_SAFE_INTEGER ? Number(number) : number);

const blockShown = ({ number, hash, time }) => ({ number: toSafe(number), hash: `0x${hex(hash)}`, time: toSafe(time) });
