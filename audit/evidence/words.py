"""What a report says, in English: words for every code of `audit.evidence.verification`.

Codes are fixed for ever, words are not. Pure; in a file of its own because it is long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    # 1 subject
    "subject.found": "entry {seq} is what the bundle is about, and it is here",
    "subject.missing": "what the bundle says it is about is not in it, or there more than once",
    "subject.foreign": "there is an entry in the bundle that does not belong to what it is about",
    # 2 signatures
    "signature.valid": "all {count} statements are signed by the keys that they name",
    "signature.invalid": "a statement is not signed by the key that it names",
    "signature.no_key": "a statement names a key that is not in the bundle",
    "statement.ledger": "a statement was signed for another ledger",
    "statement.not_canonical": "a signed text is not canonical JSON, and might be read in two ways",
    "statement.withheld": "a statement is withheld, because whoever had it could still send it "
    "again for its answer: ask for the bundle again later to have this proven",
    # 3 entries
    "entry.agrees": "each entry is the record of its statement and says what that says",
    "entry.other_statement": "the statement is not the one whose digest is in the entry",
    "entry.other_actor_or_kind": "the entry names another signer or kind than its statement",
    "entry.members": "the entry has other members than those of its kind",
    "entry.says_otherwise": "the entry says something else than its statement",
    "entry.time_of_signing": "the entry's time is too far from when the statement was signed",
    "statement.form": "a statement is not of the form of its kind",
    # 4 checkpoint
    "checkpoint.signed": "the checkpoint of {size} entries is signed by the log {origin}",
    "checkpoint.witnessed": "the checkpoint of {size} entries is signed by the log {origin} and "
    "cosigned by {witnesses}",
    "checkpoint.cosignature": "a witness's line under the checkpoint is not signed by the witness",
    "checkpoint.witness_time": "a witness says a time at which it cannot have seen the checkpoint",
    "checkpoint.quorum": "fewer witnesses cosigned the checkpoint than the trust file asks for",
    "checkpoint.invalid": "the checkpoint is not signed by the log that is trusted, or malformed",
    # 5 inclusion
    "inclusion.proven": "each entry is in the log, as one of the {size} of the checkpoint",
    "inclusion.other_root": "an entry's proof does not lead to the checkpoint's root",
    "inclusion.malformed": "an entry's proof is too long, too short, or beyond the checkpoint",
    # 6 seal
    "seal.valid": "a trusted sealer of chain {chain_id} sealed {blocks}",
    "seal.invalid": "a block is not sealed by a trusted sealer of the trusted chain",
    "seal.unknown_scheme": "not checked: this verifier does not know how blocks are sealed on this "
    "chain",
    "block.unsealed": "agrees with the block as it is shown, whose seal was not checked: no proof",
    "seal.other_scheme": "the block is sealed in another way than on the trusted chain",
    "header.malformed": "a block's header is malformed",
    # 7 anchor, 8 recorded
    "anchor.held": "by its storage in block {block}, the contract holds the checkpoint's root",
    "anchor.other_root": "the contract does not hold the checkpoint's root at its size",
    "contract.missing": "there is no contract at the trusted address",
    "contract.other_code": "the contract at the trusted address has other code",
    "recorded.by": "all of these entries were on the chain by block {block}, sealed at {time} UTC, "
    "and not by the block before it; the entry itself says {entry_time} UTC",
    "recorded.later": "by the block that should show it, the entries were not on the chain",
    "recorded.time": "the block's time lies before an entry that it is to have recorded",
    "recorded.earlier": "the block before the one that is shown as the first with these entries "
    "had them already",
    "recorded.backdated": "an entry says a time of more than a minute before a block that did not "
    "have it yet",
    "recorded.order": "the blocks are not in order",
    "proof.missing": "a proof of the chain's state has a gap: a part of it is missing or altered",
    "proof.repeated": "a part of a proof of the chain's state is there twice",
    "proof.malformed": "a proof of the chain's state is malformed",
    "rlp.malformed": "a part of the chain's state or header is malformed",
    # 9 keys
    "key.trusted": "by the directory contract, each institution's key that signed was enrolled "
    "in its role and valid at that time (as the directory stood in block {block})",
    "key.none": "no institution's key signed any of this",
    "key.unknown": "a key is not in the directory",
    "key.role": "a key has another role in the directory",
    "key.institution": "a key belongs to another institution in the directory",
    "key.validity": "a key was not yet or no longer valid when it signed",
    "key.revoked": "a key had been revoked when it signed",
    "key.malformed": "a key is malformed",
    # 10 enrolments
    "enrolment.proven": "each holder's device and each terminal that signed had been enrolled, "
    "as what it acted, by an operator or, for holders, an issuing department",
    "enrolment.none": "no holder's device and no terminal signed any of this",
    "enrolment.missing": "there is no earlier enrolment of a device or terminal that signed",
    "enrolment.other_role": "a device or terminal was enrolled as something else",
    "enrolment.scope": "a device that was let in on one department's word signed for another "
    "department's certificate, or was let in by whose word does not count",
    "enrolment.suspended": "a holder's device signed while it was frozen",
    "enrolment.invitation": "a key's claim is not of the invitation that is shown, or was late, or "
    "came after its inviter's key had been revoked",
    # 11 order
    "order.kept": "what must come first came first, and times do not run backwards",
    "order.broken": "something came before what it needs",
    "order.times": "an entry's time lies before that of an earlier one",
    "order.missing": "something that the subject needs is not in the bundle",
    # 12 grant
    "grant.covers": "the holder's grant covers this lookup: department, site, terminal, staff, "
    "service item, time, certificate and fields",
    "grant.refused_rightly": "refused, and the reason ({reason}) follows from the grant and the "
    "request",
    "grant.refused": "refused as {reason}: it is recorded so, but statements alone cannot show "
    "whether this reason held",
    "grant.none_named": "refused as {reason}, under no grant",
    "grant.not_shown": "refused as {reason}, under a grant that is not shown here",
    "grant.refused_wrongly": "the reason of the refusal does not hold by the grant and the request",
    "grant.missing": "the grant of a released lookup is not in the bundle",
    "grant.wrong_department": "released to another department than the grant names",
    "grant.wrong_site": "released at a site that the grant does not name",
    "grant.wrong_service_item": "released for another service item than the grant names",
    "grant.wrong_terminal": "released to another terminal than the grant names",
    "grant.wrong_staff": "released to somebody else than the grant names",
    "grant.grant_not_yet_valid": "released before the grant was valid",
    "grant.grant_expired": "released after the grant had ended",
    "grant.certificate_not_in_grant": "released a certificate that the grant does not name",
    "grant.field_not_granted": "released a field that was not granted",
    "grant.grant_revoked": "released after the grant had been revoked",
    "grant.grant_frozen": "released while the device that had signed the grant was frozen",
    "grant.grant_unknown": "the request shows another grant than the entry names, or shows it in "
    "a way that the grant does not allow",
    "grant.certificate_not_yet_valid": "released before the certificate was valid",
    "grant.certificate_expired": "released after the certificate had expired",
    # 13 status
    "status.never_changed": "by the status registry, the certificate was never suspended, revoked "
    "or superseded up to block {block} ({time} UTC)",
    "status.as_of": "by the changes that are shown, the last of which is the one that the "
    "status registry has as of block {block} ({time} UTC), the certificate was {state} at the "
    "lookup; as of block {now} it is {state_now}",
    "status.as_shown": "by the status registry, the certificate is {state} as of block {block} "
    "({time} UTC), by the last change that is shown; whether a suspension that was lifted, or an "
    "erasure of the content, is left out, this does not show",
    "status.erased": "the content was erased, recorded in entry {seq}; by the status registry, "
    "the certificate is {state} as of block {block} ({time} UTC)",
    "status.later": "by the status registry, the certificate was {state} as of block {block} "
    "({time} UTC), later than the lookup: a bundle of the lookup itself shows it as of then",
    "status.not_active": "by the changes that are shown, the certificate was not active, or its "
    "content erased, when it was released",
    "status.not_as_shown": "the status registry holds another state or another last change than "
    "is shown",
    "status.illegal": "a change of status is not one of the life cycle",
    "status.no_certificate": "the certificate's issue is not in the bundle",
    "status.other_issuer": "a change of status is not the issuing department's",
    # 14 disclosures
    "disclosure.proven": "the {count} disclosed fields are the issuer's, and were released",
    "disclosure.malformed": "a disclosed field is malformed",
    "disclosure.not_issued": "a disclosed field is not the one that the issuer signed",
    "disclosure.not_released": "a disclosed field was not released by this lookup",
    "disclosure.repeated": "a field is disclosed twice",
    # 15 dispute
    "dispute.agrees": "the dispute is of entry {seq}, signed by a holder's device; its "
    "resolution is shown: {state}",
    "dispute.resolution_not_shown": "the dispute is of entry {seq}, signed by a holder's device; "
    "no resolution is shown here, which does not say that there is none",
    "dispute.other_entry": "the dispute is of another entry, or what followed it of another "
    "dispute",
    "dispute.question": "a question or an answer came after the resolution, or the answer is of "
    "another question, a second one or not by who was asked",
    # 16 complete
    "complete.needed": "every key and every proof in the bundle was needed",
    "complete.superfluous": "the bundle holds a key, an entry or a proof that nothing needs",
    # any
    "earlier.failed": "not examined: an earlier check, on which this one builds, did not pass",
}

#: What no bundle shows, whatever its checks say.
LIMITS: Final[Mapping[str, str]] = {
    "holder": "that the devices which signed the grant, its revocation, the dispute, an answer or "
    "its withdrawal are of one person, and of the one whom the certificate is about: the ledger "
    "checked it and its operator can prove it, but showing it here would take the person's number",
    "absence": "that something was not recorded: that the grant had not been revoked or frozen, "
    "the holder's device not revoked, the code not used before, the uses not exhausted, the "
    "content not erased, the dispute not resolved, no other question asked",
    "allowance": "that the service item may ask for these fields at all: that is in the public "
    "catalogue",
    "validity": "that the certificate was within its own dates, where the issuer's statement does "
    "not have them in the clear: the ledger held the lookup against them before it released "
    "anything, and its full check does so again; showing them here would tell what was not granted",
    "time": "the very moment: an entry's time is the log's word, bounded by the block that "
    "recorded it and by the one before that, with a minute each for clocks; where that one "
    "is much older, because the chain was idle, it bounds little",
}
