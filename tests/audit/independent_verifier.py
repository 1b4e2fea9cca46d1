"""A second verifier of evidence bundles, written from docs/evidence.md and docs/formats.md alone.

What a kind of statement holds it takes from the tables of formats.md, as a stranger would. One
file, the standard library and ``cryptography``; it shares no code with certledger, so that a
mistake in one verifier is not in the other. Not fast, and not for production: for the tests, which
hold both against each other, and for whoever wants to read the protocol as one piece.

    python independent_verifier.py BUNDLE TRUST

prints the verdict and exits with 0 (verified), 1 (failed or incomplete) or 2 (broken input).
"""

import base64
import hashlib
import json
import re
import sys
import unicodedata
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

OPTIONAL = [
    "certificate",
    "grant",
    "terminal",
    "site",
    "department",
    "service_item",
    "staff",
    "subject",
    "state",
    "decision",
    "reason",
]
#: The optional members of each kind of entry: one of these; those with ? may be left out.
LOOKED_UP = "grant terminal site department service_item certificate? staff?"
GRANTED = "grant department service_item certificate?"
ABOUT_A_DISPUTE = [f"subject state reason {LOOKED_UP}", f"subject state reason {GRANTED}"]
ENTRIES = {
    "enrolment": [
        "subject",
        "subject department",
        "subject department site",
        "subject department site terminal",
        "subject state",
        "subject state reason",
    ],
    "invitation": ["subject", "subject department", "subject department site terminal"],
    "issue": ["certificate department state"],
    "status": ["certificate department state reason"],
    "grant": [GRANTED],
    "revocation": ["grant state", "subject state"],
    "lookup": [
        "terminal site department service_item staff? decision certificate grant",
        "terminal site department service_item staff? decision reason certificate? grant?",
    ],
    "dispute": ABOUT_A_DISPUTE,
    "question": ABOUT_A_DISPUTE,
    "answer": ABOUT_A_DISPUTE,
    "resolution": [f"subject state {LOOKED_UP}", f"subject state {GRANTED}"],
}
TYPES = {
    "issue": ["dc+sd-jwt"],
    "status": ["certledger-status+jwt"],
    "grant": ["certledger-grant+jwt"],
    "revocation": ["certledger-revocation+jwt"],
    "lookup": ["certledger-lookup+jwt"],
    "dispute": ["certledger-dispute+jwt"],
    "question": ["certledger-question+jwt"],
    "answer": ["certledger-answer+jwt"],
    "resolution": ["certledger-resolution+jwt"],
    "enrolment": ["certledger-enrolment+jwt", "certledger-claim+jwt"],
    "invitation": ["certledger-invitation+jwt"],
}
ALLOWED = {
    "lookup": {"lookup", "grant", "revocation", "issue", "status", "enrolment", "invitation"},
    "certificate": {"issue", "status"},
    "grant": {"grant", "revocation", "enrolment", "invitation"},
    "dispute": {"lookup", "grant", "issue", "dispute", "resolution", "enrolment", "invitation"}
    | {"question", "answer"},
}
NAMED_BY = {
    "lookup": ("lookup", "seq", "seq"),
    "certificate": ("issue", "certificate_id", "certificate"),
    "grant": ("grant", "grant_id", "grant"),
    "dispute": ("dispute", "dispute_id", "subject"),
}
AFTER = {
    "suspend": "suspended",
    "restore": "active",
    "revoke": "revoked",
    "supersede": "superseded",
    "erase": "erased",
}
HALTS = {"key_suspension": "suspended", "key_restoration": "restored"}
STATES = ["active", "suspended", "revoked", "superseded"]
OPERATOR, ISSUER, TERMINAL, AUDITOR = 1, 2, 3, 4


class Broken(Exception):
    """Not a bundle of version 2, or not a trust file of version 2."""


class No(Exception):
    """A check failed."""


def require(holds, why):
    if not holds:
        raise No(why)


def formed(holds, why):
    if not holds:
        raise Broken(why)


# --- Keccak-256 (FIPS 202's permutation with the padding from before the standard) ---------------


def _constants():
    register, rounds = 1, []
    for _ in range(24):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        rounds.append(constant)
    return rounds


ROUNDS, MASK = _constants(), 2**64 - 1


def _rotated(word, by):
    return ((word << by) | (word >> (64 - by))) & MASK if by else word


def _permute(a):
    for constant in ROUNDS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ _rotated(c[(x + 1) % 5], 1) for x in range(5)]
        a = [a[i] ^ d[i % 5] for i in range(25)]
        x, y, current = 1, 0, a[1]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            at = x + 5 * y
            current, a[at] = a[at], _rotated(current, (t + 1) * (t + 2) // 2 % 64)
        b = a[:]
        for y in range(0, 25, 5):
            for x in range(5):
                a[y + x] = b[y + x] ^ (~b[y + (x + 1) % 5] & MASK & b[y + (x + 2) % 5])
        a[0] ^= constant
    return a


@cache
def keccak(data):
    rate, lanes = 136, [0] * 25
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % rate)
    padded[-1] |= 0x80
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


# --- secp256k1: the address behind a recoverable signature ----------------------------------------

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def _add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = 3 * p[0] * p[0] * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def _times(k, point):
    result = None
    while k:
        if k & 1:
            result = _add(result, point)
        point, k = _add(point, point), k >> 1
    return result


@cache
def recover(signature, digest):
    """The address, or None. Of the two signatures that say the same, the one with the lower s."""
    if len(signature) != 65 or signature[64] > 3:
        return None
    r, s, v = (
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
        signature[64],
    )
    if not (0 < r < N and 0 < s <= N // 2):
        return None
    x = r + N * (v >> 1)
    square = (x * x * x + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if x >= P or y * y % P != square:
        return None
    if y & 1 != v & 1:
        y = P - y
    z, inverse = int.from_bytes(digest, "big"), pow(r, -1, N)
    point = _add(_times(s * inverse % N, (x, y)), _times(-z * inverse % N, G))
    if point is None:
        return None
    return keccak(point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big"))[12:]


# --- RLP and Merkle-Patricia tries ----------------------------------------------------------------


def unrlp(data):
    def item(at, end):
        require(at < end, "rlp")
        first = data[at]
        if first < 0x80:
            return data[at : at + 1], at + 1
        base, nested = (0x80, False) if first < 0xC0 else (0xC0, True)
        size, at = first - base, at + 1
        if size > 55:
            width = size - 55
            require(at + width <= end and data[at] != 0, "rlp")
            size = int.from_bytes(data[at : at + width], "big")
            require(size > 55, "rlp")
            at += width
        stop = at + size
        require(stop <= end, "rlp")
        if not nested:
            require(not (size == 1 and data[at] < 0x80), "rlp")
            return data[at:stop], stop
        found = []
        while at < stop:
            one, at = item(at, stop)
            found.append(one)
        return found, stop

    whole, end = item(0, len(data))
    require(end == len(data), "rlp")
    return whole


def number_of(item):
    require(isinstance(item, bytes) and len(item) <= 32 and item[:1] != b"\0", "rlp number")
    return int.from_bytes(item, "big")


class Trie:
    def __init__(self, nodes):
        self.nodes = {keccak(node): node for node in nodes}
        require(len(self.nodes) == len(nodes), "a node twice")
        self.used = set()

    def node(self, digest):
        require(digest in self.nodes, "a node is missing")
        self.used.add(digest)
        return unrlp(self.nodes[digest])

    def get(self, root, key):
        if root == keccak(b"\x80"):
            return None
        path, node = keccak(key).hex(), self.node(root)
        while True:
            require(isinstance(node, list) and len(node) in (2, 17), "node")
            if len(node) == 17:
                require(path, "node")
                child, path = node[int(path[0], 16)], path[1:]
            else:
                require(isinstance(node[0], bytes) and node[0], "node")
                flag, part = node[0][0] >> 4, node[0].hex()
                require(flag < 4 and (flag & 1 or part[1] == "0"), "node")
                part = part[1:] if flag & 1 else part[2:]
                if flag >= 2:
                    if part != path:
                        return None
                    require(isinstance(node[1], bytes), "node")
                    return node[1]
                require(part, "node")
                if not path.startswith(part):
                    return None
                child, path = node[1], path[len(part) :]
            if child == b"":
                return None
            if isinstance(child, list):
                node = child
            else:
                require(len(child) == 32, "node")
                node = self.node(child)


# --- small encodings ------------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text, error=No):
    try:
        data = base64.urlsafe_b64decode(text + "==")
    except ValueError:
        raise error("base64url") from None
    if b64url(data) != text:
        raise error("base64url")
    return data


def unb64(text):
    formed(isinstance(text, str), "base64")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Broken("base64") from None
    formed(base64.b64encode(data).decode() == text, "base64 in another form")
    return data


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def depth(value):
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inside), default=0)


def exact(value):
    """Names in ASCII, integers up to 2**53 - 1, and at most 16 levels."""
    if isinstance(value, dict):
        return all(name.isascii() for name in value) and all(map(exact, value.values()))
    if isinstance(value, list):
        return all(map(exact, value))
    return not isinstance(value, int) or abs(value) < 2**53


def signed_json(data):
    """What was signed is its own canonical form, to the byte."""
    try:
        value = parse(data)
        require(depth(value) <= 16 and exact(value), "beyond what is signed")
        require(canonical(value) == data, "not canonical")
    except (Broken, RecursionError, UnicodeEncodeError):
        raise No("not canonical") from None
    return value


def parse(text):
    def once(pairs):
        formed(len(dict(pairs)) == len(pairs), "a member twice")
        return dict(pairs)

    def never(_):
        raise Broken("a number that is not whole")

    try:
        # Left to itself, it would guess at other encodings than UTF-8.
        text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=once, parse_float=never, parse_constant=never)
    except (ValueError, RecursionError) as error:
        raise Broken(str(error)) from None


def members(value, required, optional=()):
    formed(isinstance(value, dict), "an object is expected")
    formed(set(required) <= set(value) <= {*required, *optional}, f"members {sorted(value)}")
    return value


def integer(value):
    return type(value) is int and 0 <= value < 2**53


# --- form -----------------------------------------------------------------------------------------


BLANK = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def verifier_key(text, kind):
    """Name, key id and the 32 bytes of the key."""
    formed(text.count("+") >= 2, "verifier key")
    name, key_id, key = text.split("+", 2)
    raw = unb64(key)
    formed(re.fullmatch(f"[^{BLANK}]+", name), "name of a verifier key")
    formed(len(raw) == 33 and raw[0] == kind, "verifier key")
    hashed = sha256(name.encode() + b"\n" + raw)[:4]
    formed(hashed.hex() == key_id, "verifier key")
    return name, hashed, raw[1:]


def read_policy(text):
    """C2SP tlog-policy: logs, witnesses and groups by name, and the quorum's name."""
    formed(isinstance(text, str) and len(text) <= 16_384 and text.endswith("\n"), "policy")
    formed(not any((c < " " and c not in "\t\n") or c == "\x7f" for c in text), "policy")
    logs, witnesses, groups, quorum, keys, inside = [], {}, {}, [], [], []
    for line in text.split("\n"):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if not words or words[0][0] == "#":
            continue
        kind, *words = words
        defined = {*witnesses, *groups}
        if kind == "log":
            formed(len(words) in (1, 2), "log line")
            logs.append(verifier_key(words[0], 1))
            keys.append(logs[-1][2])
        elif kind == "witness":
            formed(len(words) in (2, 3), "witness line")
            formed(words[0] not in {*defined, "none"}, "name twice")
            witnesses[words[0]] = verifier_key(words[1], 4)
            keys.append(witnesses[words[0]][2])
        elif kind == "group":
            formed(len(words) > 2 and words[0] not in {*defined, "none"}, "group line")
            members_of = words[2:]
            formed(set(members_of) <= defined, "unknown member")
            inside += members_of
            counts = {str(n): n for n in range(1, len(members_of) + 1)}
            counts |= {"any": 1, "all": len(members_of)}
            formed(words[1] in counts and counts[words[1]] <= 99, "threshold")
            groups[words[0]] = counts[words[1]], members_of
        else:
            formed(kind == "quorum" and len(words) == 1, "unknown line")
            formed(words[0] in {*defined, "none"}, "unknown quorum")
            quorum += words
    formed(len(quorum) == 1, "one quorum")
    formed(len(set(keys)) == len(keys) and len(set(inside)) == len(inside), "something twice")
    formed(max(len(logs), len(witnesses), len(groups)) <= 32, "too many lines")
    return logs, witnesses, groups, quorum[0]


def read_trust(value):
    members(value, ["v", "kind", "chain", "contracts", "log", "policy"])
    formed(value["v"] == 2, "version")
    formed(value["kind"] == "certledger-trust", "kind")
    members(value["chain"], ["id", "genesis", "seal", "sealers"])
    genesis = value["chain"]["genesis"]
    formed(genesis is None or re.fullmatch(r"0x[0-9a-f]{64}", genesis), "genesis")
    members(value["contracts"], ["directory", "checkpoint_log", "status_registry"])
    for contract in value["contracts"].values():
        members(contract, ["address", "code_hash"])
    members(value["log"], ["origin", "verifier"])
    formed(isinstance(value["log"]["verifier"], str), "verifier key")
    name, _, key = verifier_key(value["log"]["verifier"], 1)
    formed(name == value["log"]["origin"], "origin")
    logs, witnesses, _, _ = read_policy(value["policy"])
    formed(not logs or (name, key) in [(log[0], log[2]) for log in logs], "policy of other logs")
    formed(key not in [witness[2] for witness in witnesses.values()], "the log as its witness")
    return value


LIMITS = {"entries": 200, "keys": 100, "disclosures": 64, "blocks": 2, "nodes": 2_000}


def read_bundle(value):
    members(
        value,
        [
            "v",
            "kind",
            "subject",
            "entries",
            "keys",
            "disclosures",
            "checkpoint",
            "blocks",
            "before",
            "nodes",
        ],
    )
    formed(type(value["v"]) is int and value["v"] == 2, "version")
    formed(value["kind"] == "certledger-evidence", "kind")
    subject = value["subject"]
    formed(isinstance(subject, dict) and isinstance(subject.get("kind"), str), "subject")
    formed(subject["kind"] in NAMED_BY, "subject")
    name = NAMED_BY[subject["kind"]][1]
    members(subject, ["kind", name])
    formed(integer(subject[name]) if name == "seq" else isinstance(subject[name], str), "subject")
    for part, most in LIMITS.items():
        formed(isinstance(value[part], list) and len(value[part]) <= most, part)
    formed(len(value["entries"]) >= 1 and 1 <= len(value["blocks"]) <= 2, "nothing in it")
    for line in value["entries"]:
        members(line, ["entry", "proof"], ["statement"])
        entry = members(
            line["entry"], ["v", "seq", "time", "kind", "actor", "statement", "salt"], OPTIONAL
        )
        formed(entry["v"] == 2 and type(entry["v"]) is int, "entry version")
        formed(integer(entry["seq"]) and integer(entry["time"]), "entry numbers")
        texts = [item for key, item in entry.items() if key not in ("v", "seq", "time")]
        formed(all(isinstance(item, str) for item in texts), "entry texts")
        formed(entry["kind"] in TYPES, "entry kind")
        formed(entry.get("decision", "released") in ("released", "refused"), "decision")
        formed(len(unb64url(entry["statement"], Broken)) == 32, "digest")
        formed(len(unb64url(entry["salt"], Broken)) == 16, "salt")
        formed(isinstance(line["proof"], list) and len(line["proof"]) <= 64, "proof")
        formed(all(len(unb64(item)) == 32 for item in line["proof"]), "proof")
        formed(isinstance(line.get("statement", ""), str), "statement")
        formed("statement" in line or entry["kind"] in ("lookup", "grant"), "no statement")
    seqs = [line["entry"]["seq"] for line in value["entries"]]
    formed(seqs == sorted(set(seqs)), "order of entries")
    for key in value["keys"]:
        members(key, ["kty", "crv", "x", "y"])
        formed((key["kty"], key["crv"]) == ("EC", "P-256"), "key")
        point = [unb64url(key[name], Broken) for name in "xy" if isinstance(key[name], str)]
        formed(len(point) == 2 and all(len(item) == 32 for item in point), "key")
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + b"".join(point))
        except ValueError:
            raise Broken("not a point") from None
    formed(all(isinstance(item, str) for item in value["disclosures"]), "disclosures")
    formed(isinstance(value["checkpoint"], str), "checkpoint")
    formed(len(value["checkpoint"]) <= 16_384, "checkpoint")
    for block in value["blocks"]:
        members(block, ["header", "seal"])
        members(block["seal"], ["scheme", "signature"])
        formed(isinstance(block["seal"]["scheme"], str), "seal")
        formed(block["seal"]["scheme"] != "unknown" or block["seal"]["signature"] == "", "seal")
        formed(len(unb64(block["header"])) <= 16_384, "header")
        unb64(block["seal"]["signature"])
    formed(len(unb64(value["before"])) <= 16_384, "header")
    for node in value["nodes"]:
        formed(len(unb64(node)) <= 1_024, "node")
    return value


# --- statements -----------------------------------------------------------------------------------


def thumbprint(key):
    return b64url(sha256(canonical({name: key[name] for name in ("crv", "kty", "x", "y")})))


def open_statement(token, keys, ledger):
    """typ, kid and payload of a compact JWS whose signature verifies, for this ledger."""
    require(token.isascii() and token.count(".") == 2 and len(token) <= 65536, "not a JWS")
    head, body, signature = token.split(".")
    require(len(head) <= 256, "header")
    try:
        header = signed_json(unb64url(head))
        raw = unb64url(signature)
        require(isinstance(header, dict) and set(header) == {"alg", "typ", "kid"}, "header")
        require(isinstance(header["typ"], str) and header["typ"] in documented(), "header")
        require(header["alg"] == "ES256" and header["kid"] in keys and len(raw) == 64, "header")
        key = keys[header["kid"]]
        point = b"\x04" + unb64url(key["x"]) + unb64url(key["y"])
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point).verify(
            encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
            f"{head}.{body}".encode(),
            ec.ECDSA(SHA256()),
        )
        payload = signed_json(unb64url(body))
    except (InvalidSignature, ValueError, TypeError, RecursionError):
        raise No("signature") from None
    require(isinstance(payload, dict), "payload")
    require(payload.get("ledger") == ledger, "for another ledger")
    require(
        isinstance(payload.get("jti"), str)
        and re.fullmatch(r"[A-Za-z0-9_-]{16,64}", payload["jti"])
        and whole(payload.get("iat"), 1, LAST_SECOND),
        "payload",
    )
    return header["typ"], header["kid"], payload


def place(entry):
    return tuple(entry.get(name) for name in ("department", "terminal", "site"))


def posted(said):
    return said["institution"], said.get("terminal"), said.get("site")


@cache
def characters():
    """The table of what a text may hold, which is a part of formats.md."""
    table = Path(__file__).parents[2] / "ledger/statement/characters.txt"
    lines = [line for line in table.read_text("ascii").splitlines() if line[0] != "#"]
    found = set()
    for word in " ".join(lines).split():
        first, last = (int(end, 16) for end in (word.split("-") * 2)[:2])
        found.update(map(chr, range(first, last + 1)))
    return found


def is_text(value, limit):
    return (
        isinstance(value, str)
        and 0 < len(value) <= limit
        and characters().issuperset(value)
        and " " not in (value[0], value[-1])
        and unicodedata.is_normalized("NFC", value)
    )


LAST_SECOND = 32_503_680_000  # the year 3000
DAY = 86_400


def whole(value, least, most):
    return type(value) is int and least <= value <= most


@cache
def documented():
    """The forms of each kind, by its ``what`` where it has several: the tables of formats.md."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    found = {}
    for kind, table in re.findall(r"<!-- members of (\w+) -->\n(.*?)<!-- end -->", page, re.DOTALL):
        common = dict.fromkeys(("ledger", "iat", "jti"), "is")
        typ = f"certledger-{kind}+jwt"
        if kind == "certificate":
            typ = "dc+sd-jwt"
        elif kind != "access":
            common["v"] = "`2`"
        form = dict(common)
        found[typ] = {None: form}
        for line in re.findall(r"^\| (.*`.*) \|$", table, re.MULTILINE):
            path, _, says = (part.strip() for part in line.partition(" |"))
            if path.startswith("**"):
                form = {**common, "what": path.rpartition(" ")[2].strip("*")}
                found[typ].pop(None, None)
                found[typ][form["what"].strip("`")] = form
                continue
            at, (*parents, name) = form, path.strip("`").replace("[]", "").split(".")
            for parent in parents:
                at = at[parent if parent in at else f"{parent}?"][1]
            nests = says == "object" or (says.startswith("list of") and ": " not in says)
            at[name] = (says, {}) if nests else says
    return found


def is_object(value, form):
    names = {name.rstrip("?"): says for name, says in form.items()}
    needed = {name for name in form if not name.endswith("?")}
    return (
        isinstance(value, dict)
        and needed <= set(value) <= set(names)
        and all(is_as(item, names[name]) for name, item in value.items())
    )


def is_as(value, says):
    """Whether it is what a table says of its member."""
    says, inside = says if isinstance(says, tuple) else (says, None)
    if says == "is":  # told of all statements (`open_statement`)
        return True
    if says == "object":
        return is_object(value, inside)
    if range_ := re.fullmatch(r"whole number from (-?\d+) to (\d+)(?:, .*)?", says):
        return whole(value, int(range_[1]), int(range_[2]))
    if list_ := re.fullmatch(r"list of (\d+) to (\d+), each (?:`(\w+)` )?once(?:: (.*))?", says):
        least, most, by, item = list_.groups()
        return (
            isinstance(value, list)
            and int(least) <= len(value) <= int(most)
            and all(is_as(one, item) if item else is_object(one, inside) for one in value)
            and len({one[by] if by else one for one in value}) == len(value)
        )
    if length := re.fullmatch(r"(.*), (\d+) to (\d+) characters", says):
        if length[1] == "a text":
            return is_text(value, int(length[3]))
        return isinstance(value, str) and int(length[2]) <= len(value) <= int(length[3])
    if pattern := re.fullmatch(r"[^`]*: `(.*)`", says):
        written = pattern[1].replace("\\|", "|")
        return isinstance(value, str) and re.fullmatch(written, value, re.ASCII) is not None
    words = [json.loads(word) if word.isdigit() else word for word in re.findall(r"`(.*?)`", says)]
    require(words, f"unknown words in formats.md: {says}")
    return any(type(value) is type(word) and value == word for word in words)


def is_point(jwk):
    try:
        point = b"\x04" + unb64url(jwk["x"]) + unb64url(jwk["y"])
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return True


def agree(typ, said):
    """What formats.md says beside its tables, mostly of several members together."""
    kind = "certificate" if typ == "dc+sd-jwt" else typ[11:-4]
    if "jwk" in said:
        yield is_point(said["jwk"])
    if "role" in said:
        yield from ((name in said) == (said["role"] == "terminal") for name in ("terminal", "site"))
    if kind == "enrolment" and "not_after" in said:
        yield said.get("not_before", 0) < said["not_after"]
    if kind == "deferral" and "not_after" in said:
        yield 0 < said["not_after"] - said["iat"] <= 731 * DAY
    if kind == "invitation":
        yield said["not_after"] <= said["iat"] + 7 * DAY
    if kind == "access":
        yield 0 < said["exp"] - said["iat"] <= 300
    if kind == "certificate":
        yield said["_sd"] == sorted(said["_sd"])
    if kind == "status":
        yield ("successor" in said) == (said["action"] == "supersede")
        yield ("ground" in said) == (said["action"] == "erase")
    if kind == "grant":
        yield ("request_id" in said) == (said["mode"] == "request")
        yield 0 < said["when"]["not_after"] - said["when"]["not_before"] <= 366 * DAY
    if kind == "lookup":
        yield len(said["presented"]) == 1
    if kind == "revocation":
        yield ("grant_id" in said) != ("kid" in said)
    if kind == "resolution":
        yield "text" in said or said["outcome"] == "withdrawn"


def check_form(typ, said):
    forms, what = documented().get(typ, {}), said.get("what")
    form = forms.get(None) or (forms.get(what) if isinstance(what, str) else None)
    require(form is not None, "no such kind")
    require(is_object(said, form) and all(agree(typ, said)), "form of a statement")


def is_closed(entry):
    """The members of its kind and no others."""
    present = set(entry) & set(OPTIONAL)
    for form in ENTRIES[entry["kind"]]:
        required = {word for word in form.split() if not word.endswith("?")}
        if required <= present <= {word.rstrip("?") for word in form.split()}:
            return "decision" not in entry or (entry["decision"] == "refused") == (
                "reason" in required
            )
    return False


def says_same(entry, typ, said):
    kind = entry["kind"]
    if kind == "issue":
        return (
            said["certificate_id"] == entry.get("certificate")
            and said["iss"] == "urn:certledger:department:" + entry.get("department", "")
            and entry.get("state") == "active"
        )
    if kind == "status":
        return (
            said["certificate_id"] == entry.get("certificate")
            and said["action"] == entry.get("reason")
            and entry.get("state") == AFTER[said["action"]]
        )
    if kind == "grant":
        mine = said["grant_id"], said["grantee"]["department"], said["purpose"]["service_item"]
        (first, *others) = [item["certificate_id"] for item in said["certificates"]]
        return (*mine, None if others else first) == tuple(
            entry.get(x) for x in ("grant", "department", "service_item", "certificate")
        )
    if kind == "revocation":
        same = (said.get("grant_id"), said.get("kid")) == (entry.get("grant"), entry.get("subject"))
        return same and entry.get("state") == "revoked"
    if kind == "lookup":
        ((how, what),) = said["presented"].items()
        named = [x for x in (said.get("certificate_id"), entry.get("certificate")) if x is not None]
        return (
            said["service_item"] == entry.get("service_item")
            and said.get("staff") == entry.get("staff")
            and (how != "grant_id" or entry.get("grant") in (None, what))
            and len(set(named)) < 2
        )
    if kind == "enrolment" and said.get("what") in HALTS:
        return (said["kid"], HALTS[said["what"]]) == (
            entry.get("subject"),
            entry.get("state"),
        ) and entry.get("reason") in ("holder", "issuer", "auditor")
    if kind == "enrolment":
        kid = thumbprint(said["jwk"])
        if kid != entry.get("subject") or "state" in entry:
            return False
        if "invitation" in said:
            return kid == entry["actor"]
        if said["what"] == "holder":
            return place(entry)[1:] == (None, None)
        if said["what"] == "device":
            return place(entry) == (None, None, None)
        return said["what"] == "key" and posted(said) == place(entry)
    if kind == "invitation":
        if said["code_sha256"] != entry.get("subject"):
            return False
        if said["what"] == "holder":
            return place(entry) == (None, None, None)
        return said["what"] == "key" and posted(said) == place(entry)
    if kind == "dispute":
        return (said["dispute_id"], said["cause"], "open") == (
            entry.get("subject"),
            entry.get("reason"),
            entry.get("state"),
        )
    if kind in ("question", "answer"):
        return (said["dispute_id"], "open") == (entry.get("subject"), entry.get("state")) and (
            said.get("to", entry.get("reason")) == entry.get("reason")
        )
    return (said["dispute_id"], said["outcome"]) == (entry.get("subject"), entry.get("state"))


# --- the protocol ---------------------------------------------------------------------------------


class Verifier:
    def __init__(self, bundle, trust):
        self.bundle, self.trust = bundle, trust
        self.lines = bundle["entries"]
        self.entries = [line["entry"] for line in self.lines]
        self.said, self.typ, self.needed = {}, {}, set()
        self.withheld = {x["entry"]["seq"] for x in self.lines if "statement" not in x}
        self.incomplete = bool(self.withheld)
        self.unproven = []
        self.log_id = sha256(b"certledger log\0" + trust["log"]["origin"].encode())

    def verdict(self):
        for step in (
            self.subject,
            self.statements,
            self.checkpoint,
            self.inclusion,
            self.seal,
            self.chain,
            self.keys,
            self.enrolments,
            self.order,
            self.grant,
            self.status,
            self.disclosures,
            self.dispute,
            self.complete,
        ):
            step()
        return "incomplete" if self.incomplete else "verified"

    def of(self, kind):
        return [entry for entry in self.entries if entry["kind"] == kind]

    def one(self, kind, member, value):
        found = [x for x in self.of(kind) if x.get(member) == value]
        return found[0] if len(found) == 1 else None

    def subject(self):
        kind, name, member = NAMED_BY[self.bundle["subject"]["kind"]]
        self.about = self.one(kind, member, self.bundle["subject"][name])
        require(self.about is not None, "subject")
        self.needed.add(self.about["seq"])
        kinds = [entry["kind"] for entry in self.entries]
        require(set(kinds) <= ALLOWED[self.bundle["subject"]["kind"]], "foreign entry")
        several = ("enrolment", "invitation", "status", "question", "answer")
        require(all(kinds.count(k) == 1 for k in kinds if k not in several), "two of a kind")

    def statements(self):
        keys = {thumbprint(key): key for key in self.bundle["keys"]}
        require(len(keys) == len(self.bundle["keys"]), "a key twice")
        used = set()
        for line in self.lines:
            entry, token = line["entry"], line.get("statement")
            require(is_closed(entry), "members of the entry")
            if token is None:
                continue
            typ, kid, said = open_statement(token, keys, self.trust["log"]["origin"])
            used.add(kid)
            require(b64url(sha256(token.encode())) == entry["statement"], "another statement")
            require(kid == entry["actor"] and typ in TYPES[entry["kind"]], "actor or kind")
            require(abs(entry["time"] - 1000 * said["iat"]) <= 900_000, "time of signing")
            try:
                check_form(typ, said)
                require(says_same(entry, typ, said), "entry says otherwise")
            except (KeyError, TypeError, ValueError, AttributeError):
                raise No("form of a statement") from None
            self.said[entry["seq"]], self.typ[entry["seq"]] = said, typ
        # Whose key a statement that is withheld would have needed is not known.
        withheld = any("statement" not in line for line in self.lines)
        require(withheld or used == set(keys), "a key that nothing needs")

    def checkpoint(self):
        text, blank, tail = self.bundle["checkpoint"].rpartition("\n\n")
        require(blank and tail.endswith("\n"), "no signed note")
        body, lines = f"{text}\n", []
        for line in tail[:-1].split("\n"):
            parts = re.fullmatch(f"— ([^{BLANK}]+) ([A-Za-z0-9+/=]+)", line)
            require(parts, "signature line")
            try:
                lines.append((parts[1], unb64(parts[2])))
            except Broken:
                raise No("signature line") from None
        origin, size, root, *more = [*body.split("\n"), "", ""][: body.count("\n") + 2]
        require(body.count("\n") == 3 and more[0] == "", "body of the checkpoint")
        require(origin == self.trust["log"]["origin"], "origin")
        require(re.fullmatch(r"0|[1-9][0-9]{0,18}", size), "size")
        try:
            self.root = unb64(root)
        except Broken:
            raise No("root") from None
        require(len(self.root) == 32, "root")

        def by(key):
            name, key_id, _ = key
            return next((raw[4:] for who, raw in lines if who == name and raw[:4] == key_id), None)

        def holds(key, signature, message):
            try:
                Ed25519PublicKey.from_public_bytes(key[2]).verify(signature, message.encode())
            except InvalidSignature:
                return False
            return True

        log = verifier_key(self.trust["log"]["verifier"], 1)
        require(by(log) is not None and holds(log, by(log), body), "the log's signature")
        self.size = int(size)
        _, witnesses, groups, quorum = read_policy(self.trust["policy"])
        youngest = max(line["entry"]["time"] for line in self.bundle["entries"])
        reached = {"none"}
        for name, key in witnesses.items():
            signed = by(key)
            if signed is None:
                continue
            time = int.from_bytes(signed[:8], "big")
            require(len(signed) == 72, "cosignature")
            message = f"cosignature/v1\ntime {time}\n{body}"
            require(time < 2**63 and holds(key, signed[8:], message), "cosignature")
            require(0 < time <= 253_402_300_799, "a witness's time")
            require(1000 * time + 999 >= youngest - 60_000, "a witness's time")
            reached.add(name)
        for name, (threshold, members_of) in groups.items():
            if len(reached & set(members_of)) >= threshold:
                reached.add(name)
        require(quorum in reached, "no quorum of witnesses")

    def inclusion(self):
        """RFC 9162 §2.1.3.2."""
        for line in self.lines:
            index = line["entry"]["seq"]
            require(index < self.size, "beyond the checkpoint")
            fn, sn, r = index, self.size - 1, sha256(b"\0" + canonical(line["entry"]))
            for step in line["proof"]:
                p = unb64(step)
                require(sn != 0, "proof too long")
                if fn & 1 or fn == sn:
                    r = sha256(b"\1" + p + r)
                    while not fn & 1 and fn:
                        fn, sn = fn >> 1, sn >> 1
                else:
                    r = sha256(b"\1" + r + p)
                fn, sn = fn >> 1, sn >> 1
            require(sn == 0 and r == self.root, "not in the tree")

    def seal(self):
        chain, self.headers = self.trust["chain"], []
        for block in self.bundle["blocks"]:
            require(block["seal"]["scheme"] == chain["seal"], "another kind of seal")
        try:
            encoded = [unb64(block["header"]) for block in self.bundle["blocks"]]
            self.headers = [self.header(fields) for fields in map(unrlp, encoded)]
        except (No, ValueError):
            if chain["seal"] == "certledger-seal-1":
                raise
        if chain["seal"] != "certledger-seal-1":
            # All else is checked, against the blocks as they are shown.
            self.incomplete = True
            self.unproven.append("unknown kind of seal")
            return
        for block, header in zip(self.bundle["blocks"], encoded, strict=True):
            signed = b"certledger seal 1" + chain["id"].to_bytes(32, "big") + keccak(header)
            signer = recover(unb64(block["seal"]["signature"]), keccak(signed))
            require(signer == unrlp(header)[2], "not the sealer that the header names")
            require("0x" + signer.hex() in chain["sealers"], "not a trusted sealer")

    @staticmethod
    def header(fields):
        require(isinstance(fields, list) and len(fields) >= 15, "header")
        require(isinstance(fields[2], bytes) and isinstance(fields[3], bytes), "header")
        require(len(fields[2]) == 20 and len(fields[3]) == 32, "header")
        require(isinstance(fields[0], bytes) and len(fields[0]) == 32, "header")
        number, time = number_of(fields[8]), number_of(fields[11])
        require(number < 2**64 and time < 2**64, "header")
        return number, time, fields[3], fields[0]

    def word(self, header, contract, slot):
        trusted = self.trust["contracts"][contract]
        account = self.trie.get(header[2], bytes.fromhex(trusted["address"][2:]))
        require(account is not None, "no contract")
        fields = unrlp(account)
        require(isinstance(fields, list) and len(fields) == 4, "account")
        require("0x" + fields[3].hex() == trusted["code_hash"], "other code")
        found = self.trie.get(fields[2], slot.to_bytes(32, "big"))
        return 0 if found is None else number_of(unrlp(found))

    @staticmethod
    def mapped(slot, key):
        return int.from_bytes(keccak(slot.to_bytes(32, "big") + key), "big")

    def chain(self):
        self.trie = Trie([unb64(node) for node in self.bundle["nodes"]])
        if not self.headers:
            return
        now, then = self.headers[0], self.headers[-1]
        inner = self.mapped(4, self.log_id).to_bytes(32, "big")
        slot = int.from_bytes(keccak(inner + self.size.to_bytes(32, "big")), "big")
        held = self.word(now, "checkpoint_log", slot)
        require(held == int.from_bytes(self.root, "big"), "the chain holds another root")
        require(len(self.headers) == 1 or then[0] < now[0], "order of blocks")
        head = self.word(then, "checkpoint_log", self.mapped(3, self.log_id))
        require(head >> 64 > self.entries[-1]["seq"], "not yet recorded by that block")
        latest = 1000 * then[1] + 999 + 60_000
        require(all(entry["time"] <= latest for entry in self.entries), "block before entry")
        encoded = unb64(self.bundle["before"])
        before = self.header(unrlp(encoded))
        require(before[0] == then[0] - 1, "not the block before")
        sealed = self.trust["chain"]["seal"] == "certledger-seal-1"
        require(not sealed or keccak(encoded) == then[3], "not the block before")
        size = self.word(before, "checkpoint_log", self.mapped(3, self.log_id)) >> 64
        is_lookup = self.about["kind"] == "lookup"
        first = self.about["seq"] if is_lookup else self.entries[-1]["seq"]
        require(size <= first, "recorded earlier")
        for entry in self.entries:
            timely = entry["time"] >= 1000 * before[1] - 60_000
            require(entry["seq"] < size or timely, "dated back")

    def keys(self):
        if not self.headers:
            return
        for entry in self.entries:
            kind, institution = entry["kind"], None
            if kind in ("issue", "status", "lookup"):
                roles = [TERMINAL if kind == "lookup" else ISSUER]
                institution = entry.get("department", "")
            elif kind == "question":
                roles = [AUDITOR]
            elif kind == "answer" and not self.holders(entry):
                roles, institution = [ISSUER, TERMINAL], entry.get("department", "")
            elif kind == "resolution" and entry.get("state") != "withdrawn":
                roles = [AUDITOR]
            elif kind == "invitation":
                roles = [OPERATOR] if "department" in entry else [ISSUER]
            elif self.approves(entry):
                continue
            elif kind == "enrolment" and "reason" in entry:
                if self.holders(entry):
                    continue
                roles = [ISSUER if entry["reason"] == "issuer" else AUDITOR]
            elif kind == "enrolment" and entry["actor"] != entry.get("subject"):
                roles = [OPERATOR] if "terminal" in entry else [ISSUER]
            else:
                continue
            whose, role, since, until, revoked = self.enrolled(entry["actor"])
            require(role in roles, "role")
            if institution is not None:
                named = sha256(b"certledger institution\0" + institution.encode())
                require(whose == int.from_bytes(named, "big"), "institution")
            second = entry["time"] // 1000
            require(since <= second < until, "validity")
            require(revoked == 0 or second <= revoked, "revoked")

    def enrolled(self, kid):
        """Institution, role, from, to and revocation of a key, as the directory has it."""
        base = self.mapped(2, unb64url(kid))
        whose, terms = (self.word(self.headers[0], "directory", base + i) for i in range(2))
        times = [terms >> shift & (1 << 64) - 1 for shift in (128, 64, 0)]
        return whose, terms >> 192, *times

    def holders(self, entry):
        kind = entry["kind"]
        if kind in ("answer", "enrolment"):
            return entry.get("reason") == "holder"
        return kind in ("grant", "revocation", "dispute") or (
            kind == "resolution" and entry.get("state") == "withdrawn"
        )

    def approves(self, entry):
        said = self.said.get(entry["seq"], {})
        return entry["kind"] == "enrolment" and said.get("what") == "device"

    def enrolments(self):
        for entry in self.entries:
            if self.holders(entry):
                scope = self.device(entry)
                for grant in self.of("grant") if scope is not None else ():
                    if not self.known(grant):
                        continue
                    for item in self.said[grant["seq"]]["certificates"]:
                        require(item["certificate_id"].split(".")[6] == scope, "beyond scope")
            elif entry["kind"] == "lookup":
                made = self.one("enrolment", "subject", entry["actor"])
                require(made is not None and made["seq"] < entry["seq"], "not enrolled before")
                said, _ = self.let_in(made)
                post = tuple(said.get(x) for x in ("role", "institution", "terminal", "site"))
                require(post == ("terminal", *place(entry)), "not that terminal")
                require(place(made) == place(entry), "not that terminal")

    def device(self, entry):
        """The one department that a device spoke for when it signed, or None for all."""
        found = [x for x in self.of("enrolment") if x.get("subject") == entry["actor"]]
        found = [x for x in found if x["seq"] < entry["seq"] and "reason" not in x]
        require(found, "not enrolled before")
        require(not self.frozen(entry["actor"], entry), "signed while frozen")
        for made in found:
            said, _ = self.let_in(made)
            require(said.get("what") in ("holder", "device"), "not a holder's device")
            scope = made.get("department")
            if self.approves(made):
                require(self.device(made) is None, "approved by a device of one department")
            if scope is not None:
                named = sha256(b"certledger institution\0" + scope.encode())
                require(self.vouches(made) == int.from_bytes(named, "big"), "not its word")
        first, last = found[0], found[-1]
        if len(found) > 1:
            require(len(found) == 2 and "department" in first, "a word too many")
            require("department" not in last, "a word too many")
            require(self.vouches(first) != self.vouches(last), "no second word")
        return last.get("department")

    def frozen(self, device, at):
        """Whether a holder's device was frozen at an entry, by what is shown."""
        frozen = False
        for entry in self.of("enrolment"):
            if "reason" in entry and entry["subject"] == device and entry["seq"] < at["seq"]:
                self.needed.add(entry["seq"])
                frozen = entry["state"] == "suspended"
        return frozen

    def vouches(self, made):
        return None if self.approves(made) else self.enrolled(self.let_in(made)[1])[0]

    def let_in(self, made):
        """What a key was enrolled as, and whose word that was."""
        said = self.said[made["seq"]]
        self.needed.add(made["seq"])
        if self.typ[made["seq"]] != "certledger-claim+jwt":
            require(made["actor"] != made["subject"], "enrolled by itself")
            return said, made["actor"]
        invited = self.one("invitation", "subject", said["invitation"])
        require(invited is not None and invited["seq"] < made["seq"], "not invited")
        self.needed.add(invited["seq"])
        revoked = self.enrolled(invited["actor"])[-1]
        late = revoked and made["time"] // 1000 > revoked
        require(not late, "invited by a key that was revoked by then")
        said = self.said[invited["seq"]]
        ends = said.get("not_after")
        require(type(ends) is int and made["time"] < 1000 * ends, "invited no more")
        return said, invited["actor"]

    def order(self):
        highest = 0
        for entry in self.entries:
            require(entry["time"] >= highest - 60_000, "times run backwards")
            highest = max(highest, entry["time"])
        for entry in self.entries:
            kind = entry["kind"]
            needs = {
                "status": [("issue", "certificate", "certificate")],
                "revocation": [("grant", "grant", "grant"), ("grant", "subject", "actor")],
                "lookup": [("grant", "grant", "grant"), ("issue", "certificate", "certificate")],
                "resolution": [("dispute", "subject", "subject")],
                "question": [("dispute", "subject", "subject")],
                "answer": [("dispute", "subject", "subject")],
            }.get(kind, [])
            for other, names, member in needs:
                if kind in ("lookup", "revocation") and names not in entry:
                    continue
                earlier = self.one(other, member, entry.get(names))
                if earlier is None and entry.get("decision") == "refused":
                    continue
                require(earlier is not None, "something is missing")
                require(earlier["seq"] < entry["seq"], "order")
                self.needed.add(earlier["seq"])
                if kind != "lookup":
                    self.needed.add(entry["seq"])

    def known(self, *entries):
        return all(entry["seq"] in self.said for entry in entries)

    def grant(self):
        for entry in self.of("lookup"):
            given = self.one("grant", "grant", entry["grant"]) if "grant" in entry else None
            released = entry.get("decision") == "released"
            require(given is not None or not released, "released without a grant")
            if given is None or not self.known(entry, given):
                continue
            said, grant = self.said[entry["seq"]], self.said[given["seq"]]
            frozen = self.frozen(given["actor"], entry)
            revoked = [x for x in self.of("revocation") if x["seq"] < entry["seq"]]
            allowed = {x["certificate_id"]: x["fields"] for x in grant["certificates"]}
            named = said.get("certificate_id")
            if named is None and len(allowed) == 1:
                (named,) = allowed
            ((how, what),) = said["presented"].items()
            fields = allowed.get(entry.get("certificate"), [])
            grantee, when = grant["grantee"], grant["when"]
            objections = {
                "wrong_department": entry.get("department") != grantee["department"],
                "wrong_site": entry.get("site") not in grant["where"]["sites"],
                "wrong_service_item": entry["service_item"] != grant["purpose"]["service_item"],
                "wrong_terminal": grantee.get("terminal") not in (None, entry.get("terminal")),
                "wrong_staff": grantee.get("staff") not in (None, entry.get("staff")),
                "grant_not_yet_valid": entry["time"] < 1000 * when["not_before"],
                "grant_expired": entry["time"] >= 1000 * when["not_after"],
                "field_not_granted": not set(said["fields"]) <= set(fields),
            }
            if not released:
                require(how != "request_id" or what == grant.get("request_id"), "another grant")
                require(how != "grant_id" or what == grant["grant_id"], "another grant")
                require(objections.get(entry["reason"], True), "refused wrongly")
                continue
            require(not any(objections.values()), f"not covered: {objections}")
            require(named in allowed and named == entry.get("certificate"), "certificate")
            require(not revoked, "the grant was revoked")
            require(not frozen, "granted by a device that was frozen")
            shown = {
                "grant_id": what == grant["grant_id"] and grant["mode"] == "direct",
                "request_id": what == grant.get("request_id"),
            }
            require(shown.get(how, True), "another grant was shown")
            issued = self.one("issue", "certificate", entry["certificate"])
            require(issued is not None, "no certificate")
            if self.known(issued):
                dates = self.said[issued["seq"]]
                nbf, exp = dates.get("nbf"), dates.get("exp")
                require(nbf is None or entry["time"] >= 1000 * nbf, "not yet valid")
                require(exp is None or entry["time"] < 1000 * exp, "expired")

    def status(self):
        issues, changes = self.of("issue"), self.of("status")
        if not issues and not changes:
            return
        require(len(issues) == 1, "no certificate")
        issued = issues[0]
        for entry in changes:
            for name in ("certificate", "department"):
                require(entry.get(name) == issued.get(name), "another's change of status")
        shown = self.replayed(changes)
        if not self.headers:
            return
        now = self.registered(self.headers[0], issued)
        subject = self.bundle["subject"]["kind"]
        if subject == "certificate":
            require(now == shown, "the registry holds something else")
            return
        then = now if now == ("active", 0) else self.registered(self.headers[-1], issued)
        if subject == "dispute":
            if now != ("active", 0):
                self.unproven.append("status")
            return
        require(then == shown, "the registry holds something else")
        if self.about["decision"] == "released":
            earlier = [x for x in changes if x["seq"] < self.about["seq"]]
            require(self.replayed(earlier)[0] == "active", "released while not active")
            require(all(x["reason"] != "erase" for x in earlier), "released after erasing")

    @staticmethod
    def replayed(changes):
        """State and last digest, as the registry would have them."""
        state, last = "active", 0
        for entry in changes:
            action = entry.get("reason")
            legal = {
                "suspend": ["active"],
                "restore": ["suspended"],
                "revoke": ["active", "suspended"],
                "supersede": ["active"],
                "erase": STATES,
            }
            require(state in legal.get(action, []), "life cycle")
            require(entry.get("state") == AFTER[action], "life cycle")
            if action != "erase":
                state = AFTER[action]
                last = int.from_bytes(unb64url(entry["statement"]), "big")
        return state, last

    def registered(self, header, issued):
        base = self.mapped(3, unb64url(issued["statement"]))
        number, digest = (self.word(header, "status_registry", base + i) for i in range(2))
        require(number < 4, "state")
        return STATES[number], digest

    def disclosures(self):
        names = set()
        for encoded in self.bundle["disclosures"]:
            issues = self.of("issue")
            require(self.about["kind"] == "lookup" and len(issues) == 1, "fields of nothing")
            if not self.known(self.about, issues[0]):
                continue
            issued, asked = self.said[issues[0]["seq"]], self.said[self.about["seq"]]
            require(issued.get("_sd_alg") == "sha-256", "digests")
            require(b64url(sha256(encoded.encode())) in issued["_sd"], "not the issuer's")
            disclosed = signed_json(base64.urlsafe_b64decode(encoded + "=="))
            require(isinstance(disclosed, list), "field")
            salt, name, value = disclosed
            require(isinstance(name, str) and isinstance(value, str | int), "field")
            require(isinstance(salt, str) and len(salt) >= 22, "salt")
            require(self.about["decision"] == "released", "nothing was released")
            require(name in asked["fields"] and name not in names, "not released")
            names.add(name)

    def dispute(self):
        disputes, resolutions = self.of("dispute"), self.of("resolution")
        if not disputes and not resolutions:
            return
        require(len(disputes) == 1, "no dispute")
        if not self.known(disputes[0]):
            return
        seq = self.said[disputes[0]["seq"]]["seq"]
        disputed = next((entry for entry in self.entries if entry["seq"] == seq), None)
        require(disputed is not None and disputed["kind"] in ("lookup", "grant"), "disputed")
        require(seq < disputes[0]["seq"], "disputed before it happened")
        self.needed.add(seq)
        questions, answers = self.of("question"), self.of("answer")
        for entry in disputes + questions + answers + resolutions:
            for name in OPTIONAL[:7]:
                require(entry.get(name) == disputed.get(name), "of something else")
        for entry in questions + answers:
            require(all(entry["seq"] < done["seq"] for done in resolutions), "asked too late")
            to_department = entry.get("reason") == "department"
            require(disputed["kind"] == "lookup" or not to_department, "asked about a grant")
        waiting = {entry["seq"]: entry for entry in questions}
        for entry in answers:
            question = waiting.pop(self.said[entry["seq"]]["seq"], None)
            require(question is not None and question["seq"] < entry["seq"], "answer to nothing")
            require(question.get("reason") == entry.get("reason"), "another answers")

    def complete(self):
        if any("statement" not in line for line in self.lines):
            return  # what would have been read from it would have needed more
        require(self.trie.used == set(self.trie.nodes), "a proof that nothing needs")
        require(all(x["seq"] in self.needed for x in self.entries), "an entry nothing needs")


def verify(bundle_text, trust_text):
    """``verified``, ``incomplete``, ``failed`` or ``broken``; and why, or what is not proven of
    the status."""
    try:
        bundle, trust = read_bundle(parse(bundle_text)), read_trust(parse(trust_text))
    except Broken as error:
        return "broken", str(error)
    verifier = Verifier(bundle, trust)
    try:
        return verifier.verdict(), " ".join(verifier.unproven)
    except No as error:
        return "failed", str(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return "failed", f"form of a statement: {error!r}"


def main():
    with open(sys.argv[1], "rb") as bundle, open(sys.argv[2], "rb") as trust:
        verdict, why = verify(bundle.read(), trust.read())
    print(verdict, why)
    sys.exit({"verified": 0, "broken": 2}.get(verdict, 1))


if __name__ == "__main__":
    main()
