"""Which witnesses must have cosigned a checkpoint: a policy in the text form of C2SP tlog-policy.

    log <verifier key> [url]
    witness <name> <verifier key> [url]
    group <name> all|any|<number> <name>…
    quorum <name>|none

Pure. Narrower than the standard in three places: keys are Ed25519 (logs type 1, witnesses type 4,
``cosignature/v1``), texts are Unicode as JSON has them, and there are bounds. Not its job: whether
a cosignature verifies (`ledger.proof.cosignatures`), which log is trusted
(`audit.evidence.bundle`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

from ledger.proof.cosignatures import WitnessKey
from ledger.proof.notes import NoteError, NoteKey

#: Characters of a policy, and of each kind how many lines it may have.
MAX_POLICY, MAX_LINES = 16_384, 32
#: Instead of a name: no cosignature is asked for.
NOBODY = "none"
# A tab is a blank here, an end of line is LF alone, and no other control character may stand.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS = re.compile("[ \t]+")
_THRESHOLD = re.compile("[1-9][0-9]?", re.ASCII)


Key = TypeVar("Key", bound=NoteKey)


class PolicyError(ValueError):
    """Not a policy."""


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses once ``threshold`` of its members, witnesses or groups, do."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """``url``: the prefix for ``add-checkpoint`` (C2SP tlog-witness); empty where it has none."""

    key: WitnessKey
    url: str


@dataclass(frozen=True)
class Policy:
    """``text`` is all of it, as it was written; the rest follows from that."""

    text: str
    logs: tuple[NoteKey, ...] = field(compare=False)
    witnesses: dict[str, Witness] = field(compare=False)
    groups: dict[str, Group] = field(compare=False)
    quorum: str = field(compare=False)

    @property
    def keys(self) -> tuple[WitnessKey, ...]:
        return tuple(witness.key for witness in self.witnesses.values())

    def holds(self, cosigners: Collection[WitnessKey]) -> bool:
        """Whether those who cosigned are a quorum."""
        reached = {name for name, witness in self.witnesses.items() if witness.key in cosigners}
        # A group's members stand before it.
        for name, group in self.groups.items():
            if sum(member in reached for member in group.members) >= group.threshold:
                reached.add(name)
        return self.quorum == NOBODY or self.quorum in reached


def read_policy(text: str) -> Policy:
    """Raises PolicyError."""
    if len(text) > MAX_POLICY or not text.endswith("\n") or _CONTROL.search(text):
        raise PolicyError("a policy is lines of at most 16,384 characters, each with its end")
    reader = _Reader()
    for line in text.removesuffix("\n").split("\n"):
        words = _BLANKS.split(line.strip(" \t"))
        if words[0] and not words[0].startswith("#"):
            reader.line(words)
    if reader.quorum is None:
        raise PolicyError("there is no quorum")
    return Policy(text, tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)


def policy_for(log: NoteKey, text: str) -> Policy:
    """The same, where ``log`` is the one that is trusted; raises PolicyError."""
    policy = read_policy(text)
    if policy.logs and log not in policy.logs:
        raise PolicyError("it is of other logs")
    if any(key.public == log.public for key in policy.keys):
        raise PolicyError("the log is no witness of itself")
    return policy


class _Reader:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._publics: set[bytes] = set()
        self._members: set[str] = set()

    def line(self, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(self._once(_parsed(NoteKey, key)))
            case ["witness", name, key] | ["witness", name, key, _]:
                url = words[3] if len(words) == 4 else ""
                self.witnesses[self._new(name)] = Witness(self._once(_parsed(WitnessKey, key)), url)
            case ["group", name, threshold, *members] if members:
                self._new(name)
                self.groups[name] = self._group(threshold, members)
            case ["quorum", name] if self.quorum is None:
                if name != NOBODY:
                    self._known(name)
                self.quorum = name
            case _:
                raise PolicyError(f"no line of a policy: {words[0][:40]!r}")
        if max(len(self.logs), len(self.witnesses), len(self.groups)) > MAX_LINES:
            raise PolicyError("too many lines of one kind")

    def _group(self, threshold: str, members: list[str]) -> Group:
        for member in members:
            self._known(member)
            # Nobody counts twice.
            if member in self._members:
                raise PolicyError(f"{member[:40]!r} is a member twice")
            self._members.add(member)
        if threshold in ("any", "all"):
            return Group(1 if threshold == "any" else len(members), tuple(members))
        if not _THRESHOLD.fullmatch(threshold) or int(threshold) > len(members):
            raise PolicyError("a threshold is all, any, or a number of at most the members")
        return Group(int(threshold), tuple(members))

    def _new(self, name: str) -> str:
        if name == NOBODY or name in self.witnesses or name in self.groups:
            raise PolicyError(f"{name[:40]!r} is defined already")
        return name

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise PolicyError(f"{name[:40]!r} is not defined before")

    def _once(self, key: Key) -> Key:
        """By whatever name: one key is one witness, and a log is no witness of itself."""
        if key.public in self._publics:
            raise PolicyError("a key stands twice")
        self._publics.add(key.public)
        return key


def _parsed(kind: type[Key], text: str) -> Key:
    try:
        return kind.parse(text)
    except NoteError as error:
        raise PolicyError(f"not a verifier key of its kind: {error}") from None


#: As where nobody is asked to witness.
NO_POLICY = read_policy(f"quorum {NOBODY}\n")
