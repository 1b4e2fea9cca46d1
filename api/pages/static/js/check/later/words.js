// What a verified bundle says, in words: names of checks, and words for every code of protocol.js.
// Codes are fixed for ever, words are not.

import { formatList, formatNumber, formatTime, t } from "../../core/i18n.js";
import { reasonName } from "../../core/reasons.js";
import { describeState } from "../../core/states.js";

const NAMES = {
  subject: () => t("It is about what it says"),
  signatures: () => t("Signatures of the statements"),
  entries: () => t("Entries and statements agree"),
  checkpoint: () => t("The checkpoint is the log's"),
  inclusion: () => t("The entries are in the log"),
  seal: () => t("The blocks are the chain's"),
  anchor: () => t("The chain holds the checkpoint"),
  recorded: () => t("When it was on the chain"),
  keys: () => t("Keys of the institutions"),
  enrolments: () => t("Devices and terminals were enrolled"),
  order: () => t("The order of things"),
  grant: () => t("The holder's grant"),
  status: () => t("The certificate's state"),
  disclosures: () => t("Disclosed fields"),
  dispute: () => t("The dispute"),
  complete: () => t("Nothing superfluous"),
};

export const checkName = (name) => NAMES[name]();

const DISPUTES = {
  upheld: () => t("upheld"),
  rejected: () => t("rejected"),
  withdrawn: () => t("withdrawn by the holder"),
};

/** Without an outcome: none is shown, which does not say that there is none. */
export const disputeState = (outcome) => DISPUTES[outcome]?.() ?? t("no resolution is shown");

/** A time as the city's clock has it, and that it is; `at` is Unix milliseconds, in a number or more. */
export const cityTime = (at) => t("{time} UTC+8", { time: formatTime(Number(at)) });

const instant = (seconds) => cityTime(Number(seconds) * 1000);

const inOrder = (numbers) => formatList([...numbers].sort((a, b) => a - b).map((number) => formatNumber(number)));

/** How each of the values that words are about is written. */
const WRITTEN = {
  time: instant,
  entry_time_ms: cityTime,
  reason: reasonName,
  state: (state) => DISPUTES[state]?.() ?? describeState(state).word,
  state_now: (state) => describeState(state).word,
  origin: String,
  chain_id: String,
  blocks: (numbers) => (numbers.length > 1
    ? t("blocks {numbers}", { numbers: inOrder(numbers) }) : t("block {number}", { number: formatNumber(numbers[0]) })),
};

/** Why a check came out as it did: a sentence without its full stop. */
export function whyOf({ code, told }) {
  const values = Object.fromEntries(Object.entries(told)
    .map(([name, value]) => [name, (WRITTEN[name] ?? formatNumber)(value)]));
  return WORDS[code]?.({ ...values, entry_time: values.entry_time_ms }) ?? code;
}

const WORDS = {
  "subject.found": (v) => t("entry {seq} is what the file is about, and it is here", v),
  "subject.missing": () => t("what the file says it is about is not in it, or there more than once"),
  "subject.foreign": () => t("there is an entry in the file that does not belong to what it is about"),
  "signature.valid": (v) => t("all {count} statements are signed by the keys that they name", v),
  "signature.invalid": () => t("a statement is not signed by the key that it names"),
  "signature.no_key": () => t("a statement names a key that is not in the file"),
  "statement.ledger": () => t("a statement was signed for another ledger"),
  "statement.not_canonical": () => t("a signed text is not canonical JSON, and might be read in two ways"),
  "statement.withheld": () => t("a statement is withheld, because whoever had it could still send it again for its answer: ask for the file again later to have this proven"),
  "entry.agrees": () => t("each entry is the record of its statement and says what that says"),
  "entry.other_statement": () => t("the statement is not the one whose digest is in the entry"),
  "entry.other_actor_or_kind": () => t("the entry names another signer or kind than its statement"),
  "entry.members": () => t("the entry has other members than those of its kind"),
  "entry.says_otherwise": () => t("the entry says something else than its statement"),
  "entry.time_of_signing": () => t("the entry's time is too far from when the statement was signed"),
  "statement.form": () => t("a statement is not of the form of its kind"),
  "checkpoint.signed": (v) => t("the checkpoint of {size} entries is signed by the log {origin}", v),
  "checkpoint.witnessed": (v) =>
    t("the checkpoint of {size} entries is signed by the log {origin} and cosigned by {witnesses}", v),
  "checkpoint.cosignature": () => t("a witness's line under the checkpoint is not signed by the witness"),
  "checkpoint.witness_time": () => t("a witness says a time at which it cannot have seen the checkpoint"),
  "checkpoint.quorum": () => t("fewer witnesses cosigned the checkpoint than the trust file asks for"),
  "checkpoint.invalid": () => t("the checkpoint is not signed by the log that is trusted, or malformed"),
  "inclusion.proven": (v) => t("each entry is in the log, as one of the {size} of the checkpoint", v),
  "inclusion.other_root": () => t("an entry's proof does not lead to the checkpoint's root"),
  "inclusion.malformed": () => t("an entry's proof is too long, too short, or beyond the checkpoint"),
  "seal.valid": (v) => t("a trusted sealer of chain {chain_id} sealed {blocks}", v),
  "seal.invalid": () => t("a block is not sealed by a trusted sealer of the trusted chain"),
  "seal.unknown_scheme": () => t("not checked: this verifier does not know how blocks are sealed on this chain"),
  "block.unsealed": () => t("agrees with the block as it is shown, whose seal was not checked: no proof"),
  "seal.other_scheme": () => t("the block is sealed in another way than on the trusted chain"),
  "header.malformed": () => t("a block's header is malformed"),
  "anchor.held": (v) => t("by its storage in block {block}, the contract holds the checkpoint's root", v),
  "anchor.other_root": () => t("the contract does not hold the checkpoint's root at its size"),
  "contract.missing": () => t("there is no contract at the trusted address"),
  "contract.other_code": () => t("the contract at the trusted address has other code"),
  "recorded.by": (v) => t("all of these entries were on the chain by block {block}, sealed at {time}, and not by the block before it; the entry itself says {entry_time}", v),
  "recorded.later": () => t("by the block that should show it, the entries were not on the chain"),
  "recorded.time": () => t("the block's time lies before an entry that it is to have recorded"),
  "recorded.earlier": () => t("the block before the one that is shown as the first with these entries had them already"),
  "recorded.backdated": () => t("an entry says a time of more than a minute before a block that did not have it yet"),
  "recorded.order": () => t("the blocks are not in order"),
  "proof.missing": () => t("a proof of the chain's state has a gap: a part of it is missing or altered"),
  "proof.repeated": () => t("a part of a proof of the chain's state is there twice"),
  "proof.malformed": () => t("a proof of the chain's state is malformed"),
  "rlp.malformed": () => t("a part of the chain's state or header is malformed"),
  "key.trusted": (v) => t("by the directory contract, each institution's key that signed was enrolled in its role and valid at that time (as the directory stood in block {block})", v),
  "key.none": () => t("no institution's key signed any of this"),
  "key.unknown": () => t("a key is not in the directory"),
  "key.role": () => t("a key has another role in the directory"),
  "key.institution": () => t("a key belongs to another institution in the directory"),
  "key.validity": () => t("a key was not yet or no longer valid when it signed"),
  "key.revoked": () => t("a key had been revoked when it signed"),
  "key.malformed": () => t("a key is malformed"),
  "enrolment.proven": () => t("each holder's device and each terminal that signed had been enrolled, as what it acted, by an operator or, for holders, an issuing department"),
  "enrolment.none": () => t("no holder's device and no terminal signed any of this"),
  "enrolment.missing": () => t("there is no earlier enrolment of a device or terminal that signed"),
  "enrolment.other_role": () => t("a device or terminal was enrolled as something else"),
  "enrolment.scope": () => t("a device that was let in on one department's word signed for another department's certificate, or was let in by whose word does not count"),
  "enrolment.suspended": () => t("a holder's device signed while it was frozen"),
  "enrolment.invitation": () => t("a key's claim is not of the invitation that is shown, or was late, or came after its inviter's key had been revoked"),
  "order.kept": () => t("what must come first came first, and times do not run backwards"),
  "order.broken": () => t("something came before what it needs"),
  "order.times": () => t("an entry's time lies before that of an earlier one"),
  "order.missing": () => t("something that the subject needs is not in the file"),
  "grant.covers": () => t("the holder's grant covers this lookup: department, site, terminal, staff, service item, time, certificate and fields"),
  "grant.refused_rightly": (v) => t("refused because {reason}; that follows from the grant and the request", v),
  "grant.refused": (v) => t("refused because {reason}: it is recorded so, but statements alone cannot show whether this reason held", v),
  "grant.none_named": (v) => t("refused because {reason}, under no grant", v),
  "grant.not_shown": (v) => t("refused because {reason}, under a grant that is not shown here", v),
  "grant.refused_wrongly": () => t("the reason of the refusal does not hold by the grant and the request"),
  "grant.missing": () => t("the grant of a released lookup is not in the file"),
  "grant.wrong_department": () => t("released to another department than the grant names"),
  "grant.wrong_site": () => t("released at a site that the grant does not name"),
  "grant.wrong_service_item": () => t("released for another service item than the grant names"),
  "grant.wrong_terminal": () => t("released to another terminal than the grant names"),
  "grant.wrong_staff": () => t("released to somebody else than the grant names"),
  "grant.grant_not_yet_valid": () => t("released before the grant was valid"),
  "grant.grant_expired": () => t("released after the grant had ended"),
  "grant.certificate_not_in_grant": () => t("released a certificate that the grant does not name"),
  "grant.field_not_granted": () => t("released a field that was not granted"),
  "grant.grant_revoked": () => t("released after the grant had been revoked"),
  "grant.grant_frozen": () => t("released while the device that had signed the grant was frozen"),
  "grant.grant_unknown": () => t("the request shows another grant than the entry names, or shows it in a way that the grant does not allow"),
  "grant.certificate_not_yet_valid": () => t("released before the certificate was valid"),
  "grant.certificate_expired": () => t("released after the certificate had expired"),
  "status.never_changed": (v) => t("by the status registry, the certificate was never suspended, revoked or replaced up to block {block} ({time})", v),
  "status.as_of": (v) => t("by the changes that are shown, the last of which is the one that the status registry has as of block {block} ({time}), at the lookup the certificate was: {state}; as of block {now}: {state_now}", v),
  "status.as_shown": (v) => t("by the status registry, as of block {block} ({time}) the certificate is: {state}, by the last change that is shown; whether a suspension that was lifted, or an erasure of the content, is left out, this does not show", v),
  "status.erased": (v) => t("the content was erased, recorded in entry {seq}; by the status registry, as of block {block} ({time}) the certificate is: {state}", v),
  "status.later": (v) => t("by the status registry, as of block {block} ({time}), later than the lookup, the certificate was: {state}; evidence of the lookup itself shows it as of then", v),
  "status.not_active": () => t("by the changes that are shown, the certificate was not active, or its content erased, when it was released"),
  "status.not_as_shown": () => t("the status registry holds another state or another last change than is shown"),
  "status.illegal": () => t("a change of status is not one of the life cycle"),
  "status.no_certificate": () => t("the certificate's issue is not in the file"),
  "status.other_issuer": () => t("a change of status is not the issuing department's"),
  "disclosure.proven": (v) => t("the {count} disclosed fields are the issuer's, and were released", v),
  "disclosure.malformed": () => t("a disclosed field is malformed"),
  "disclosure.not_issued": () => t("a disclosed field is not the one that the issuer signed"),
  "disclosure.not_released": () => t("a disclosed field was not released by this lookup"),
  "disclosure.repeated": () => t("a field is disclosed twice"),
  "dispute.agrees": (v) => t("the dispute is of entry {seq}, signed by a holder's device; its resolution is shown: {state}", v),
  "dispute.resolution_not_shown": (v) => t("the dispute is of entry {seq}, signed by a holder's device; no resolution is shown here, which does not say that there is none", v),
  "dispute.other_entry": () => t("the dispute is of another entry, or what followed it of another dispute"),
  "dispute.question": () => t("a question or an answer came after the resolution, or the answer is of another question, a second one or not by who was asked"),
  "complete.needed": () => t("every key and every proof in the file was needed"),
  "complete.superfluous": () => t("the file holds a key, an entry or a proof that nothing needs"),
  "earlier.failed": () => t("not examined: an earlier check, on which this one builds, did not pass"),
  "browser.unsupported": () => t("this browser does not have the signature algorithm Ed25519, so that it cannot be told here: please use a newer one"),
};

const LIMITS = {
  holder: () => t("that the devices which signed the grant, its revocation, the dispute, an answer or its withdrawal are of one person, and of the one whom the certificate is about: the ledger checked it and its operator can prove it, but showing it here would take the person's number"),
  absence: () => t("that something was not recorded: that the grant had not been revoked or frozen, the holder's device not revoked, the code not used before, the uses not exhausted, the content not erased, the dispute not resolved, no other question asked"),
  allowance: () => t("that the service item may ask for these fields at all: that is in the public catalogue"),
  validity: () => t("that the certificate was within its own dates, where the issuer's statement does not have them in the clear: the ledger held the lookup against them before it released anything, and its full check does so again; showing them here would tell what was not granted"),
  time: () => t("the very moment: an entry's time is the log's word, bounded by the block that recorded it and by the one before that, with a minute each for clocks; where that one is much older, because the chain was idle, it bounds little"),
};

export const limitWords = (name) => LIMITS[name]();
