"""Payloads made from the declarations of statements: right ones, and ones broken in one place.

What a member may hold is taken from its type (`ledger.statement.kinds`); what several must be
together is put right by `_AGREE`, one line for each rule that a declaration's ``__post_init__``
has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from enum import EnumType
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from ledger.proof.encoding import b64url
from ledger.statement import kinds
from ledger.statement.kinds import Declared, Signed, variants

Payload = dict[str, Any]

#: Of a text: letters, Chinese, what is beyond 16 bits, an emoji, a blank inside.
_SHOWN = st.text(st.sampled_from("ab Z9-.深圳市工号𠮷🏠é"), min_size=1)


def jwk(secret: int) -> dict[str, str]:
    """The public key of a private one that everybody knows."""
    point = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    x, y = (b64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


JWKS = [jwk(secret) for secret in range(1, 9)]
EVERY = [variant for one in kinds.DECLARATIONS.values() for variant in variants(one)]


def grant(**members: Any) -> kinds.Grant:
    """One that is read, by its members' last names; ``certificates`` are fields by identifier."""
    places = {
        "grantee": ("department", "terminal", "staff"),
        "purpose": ("service_item", "text"),
        "when": ("not_before", "not_after"),
        "where": ("sites",),
        "limits": ("max_uses",),
    }
    payload: Payload = {"v": 2, "ledger": "test.example/log", "iat": 1, "jti": "a-b_c0123456789d"}
    for name, value in members.items():
        if value is None:
            continue
        if name == "certificates":
            value = [{"certificate_id": id_, "fields": fields} for id_, fields in value.items()]
        place = next((place for place, names in places.items() if name in names), None)
        at = payload if place is None else payload.setdefault(place, {})
        at[name] = value
    return kinds.Grant.parse(payload)


def right(declaration: type[Signed]) -> st.SearchStrategy[Payload]:
    """Payloads of it that are read."""
    return _object(declaration)


def _object(declaration: type[Declared]) -> st.SearchStrategy[Payload]:
    config = declaration.__struct_config__
    tag = {config.tag_field: config.tag} if config.tag_field else {}
    members = _members(declaration)
    strategy = st.fixed_dictionaries(
        {name: _value(hint) for name, (hint, needed) in members.items() if needed},
        optional={name: _value(hint) for name, (hint, needed) in members.items() if not needed},
    ).map(lambda value: {**tag, **value})
    agree = _AGREE.get(declaration)
    return strategy if agree is None else strategy.flatmap(agree)


def _members(declaration: type[Declared]) -> dict[str, tuple[Any, bool]]:
    """By the name on the wire: type, and whether it must be there."""
    hints = get_type_hints(declaration, include_extras=True)
    return {
        field.encode_name: (hints[field.name], field.required)
        for field in msgspec.structs.fields(declaration)
    }


class _Form(NamedTuple):
    """A member's type, taken apart."""

    bare: Any
    bounds: dict[str, Any]
    extra: dict[str, Any]


def _form(hint: Any) -> _Form:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is not Annotated:
        return _Form(hint, {}, {})
    bare, *metas = get_args(hint)
    bounds: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for meta in metas:
        for name in ("pattern", "ge", "le", "min_length", "max_length"):
            if getattr(meta, name) is not None:
                bounds[name] = getattr(meta, name)
        extra |= meta.extra or {}
    return _Form(bare, bounds, extra)


def _value(hint: Any) -> st.SearchStrategy[Any]:
    bare, bounds, extra = _form(hint)
    if get_origin(bare) is Literal:
        return st.sampled_from(get_args(bare))
    if get_origin(bare) is tuple:
        most = min(bounds["max_length"], bounds["min_length"] + 3)
        by = extra["unique"]
        return st.lists(
            _value(get_args(bare)[0]),
            min_size=bounds["min_length"],
            max_size=most,
            unique_by=(lambda item: item[by]) if by else (lambda item: item),
        )
    if isinstance(bare, EnumType):
        return st.sampled_from([one.value for one in bare])  # type: ignore[var-annotated]
    if bare is int:
        return st.integers(bounds["ge"], bounds["le"])
    if bare is str and "pattern" in bounds:
        return st.from_regex(bounds["pattern"], fullmatch=True)
    if bare is str and "shown" not in extra:
        most = min(bounds["max_length"], bounds["min_length"] + 60)
        return st.text("Aa0-_", min_size=bounds["min_length"], max_size=most)
    if bare is str:
        most = bounds["max_length"]
        return _SHOWN.map(lambda text: text.strip()[:most].strip() or "一")
    return _object(bare)


# --- what several members must be together --------------------------------------------------------


def _without(value: Payload, *names: str) -> Payload:
    return {name: item for name, item in value.items() if name not in names}


def _window(value: Payload) -> st.SearchStrategy[Payload]:
    longest = kinds.MAX_WINDOW_SECONDS
    begin = min(value["not_before"], kinds.MAX_UNIX_SECONDS - longest)
    return st.integers(1, longest).map(
        lambda length: {"not_before": begin, "not_after": begin + length}
    )


def _grant(value: Payload) -> st.SearchStrategy[Payload]:
    if value["mode"] != "request":
        return st.just(_without(value, "request_id"))
    return _value(kinds.Drawn).map(lambda drawn: {**value, "request_id": drawn})


def _post(value: Payload) -> st.SearchStrategy[Payload]:
    if value["role"] != "terminal":
        return st.just(_without(value, "terminal", "site"))
    return st.tuples(_value(kinds.Name), _value(kinds.Name)).map(
        lambda names: {**value, "terminal": names[0], "site": names[1]}
    )


def _key(value: Payload) -> st.SearchStrategy[Payload]:
    begin = value.get("not_before", 0)
    if "not_after" in value and value["not_after"] <= begin:
        value = _without(value, "not_before", "not_after")
    if value.get("not_after") == 0:
        value = _without(value, "not_after")
    return _post(value)


def _invited(value: Payload) -> st.SearchStrategy[Payload]:
    latest = min(value["iat"] + kinds.MAX_INVITATION_SECONDS, kinds.MAX_UNIX_SECONDS)
    soon = {**value, "not_after": min(value["not_after"], latest)}
    return _post(soon) if "role" in soon else st.just(soon)


def _deferred(value: Payload) -> st.SearchStrategy[Payload]:
    iat = min(value["iat"], kinds.MAX_UNIX_SECONDS - kinds.MAX_DEFERRAL_SECONDS)
    return st.integers(1, kinds.MAX_DEFERRAL_SECONDS).map(
        lambda length: {**value, "iat": iat, "not_after": iat + length}
    )


def _access(value: Payload) -> st.SearchStrategy[Payload]:
    iat = min(value["iat"], kinds.MAX_UNIX_SECONDS - kinds.MAX_TOKEN_SECONDS)
    return st.integers(1, kinds.MAX_TOKEN_SECONDS).map(
        lambda length: {**value, "iat": iat, "exp": iat + length}
    )


def _status(value: Payload) -> st.SearchStrategy[Payload]:
    plain = _without(value, "successor", "ground")
    needed = {"supersede": ("successor", "1.2.A"), "erase": ("ground", "court_order")}
    return st.just(
        {**plain, **dict([needed[value["action"]]] if value["action"] in needed else [])}
    )


def _presented(value: Payload) -> st.SearchStrategy[Payload]:
    members = _members(kinds.Presented)
    return st.sampled_from(sorted(members)).flatmap(
        lambda name: _value(members[name][0]).map(lambda shown: {name: shown})
    )


def _revocation(value: Payload) -> st.SearchStrategy[Payload]:
    plain = _without(value, "grant_id", "kid")
    of_one = _value(kinds.Drawn).map(lambda drawn: {**plain, "grant_id": drawn})
    return of_one | _value(kinds.Digest).map(lambda kid: {**plain, "kid": kid})


def _resolution(value: Payload) -> st.SearchStrategy[Payload]:
    return st.just({"text": "理由", **value} if value["outcome"] != "withdrawn" else value)


_AGREE: dict[type[Declared], Callable[[Payload], st.SearchStrategy[Payload]]] = {
    kinds.Jwk: lambda _: st.sampled_from(JWKS).map(dict),
    kinds.CertificateClaims: lambda value: st.just({**value, "_sd": sorted(value["_sd"])}),
    kinds.Window: _window,
    kinds.Grant: _grant,
    kinds.Key: _key,
    kinds.HolderInvitation: _invited,
    kinds.KeyInvitation: _invited,
    kinds.ReadingDeferral: _deferred,
    kinds.Access: _access,
    kinds.Status: _status,
    kinds.Presented: _presented,
    kinds.Resolution: _resolution,
    kinds.Revocation: _revocation,
}

# --- one place broken -----------------------------------------------------------------------------

_GONE: Any = object()


class Breakage(NamedTuple):
    """``value`` at ``path`` makes a payload one that is refused under one of ``rules``. ``said``:
    the JSON Schema refuses it too."""

    path: tuple[str | int, ...]
    value: Any
    rules: frozenset[str]
    said: bool = True

    def applied(self, payload: Payload) -> Payload:
        changed = deepcopy(payload)
        at: Any = changed
        for part in self.path[:-1]:
            at = at[part]
        if self.value is _GONE:
            del at[self.path[-1]]
        else:
            at[self.path[-1]] = self.value
        return changed


def breakages(declaration: type[Signed], payload: Payload) -> Iterator[Breakage]:
    """Every single place in which ``payload`` can be broken, by the declaration alone."""
    yield from _broken_object(declaration, payload, ())


def _broken_object(
    declaration: type[Declared], value: Payload, path: tuple[str | int, ...]
) -> Iterator[Breakage]:
    def broken(at: tuple[str | int, ...], value: Any, *rules: str) -> Breakage:
        return Breakage((*path, *at), value, frozenset(rules))

    members = _members(declaration)
    for name in ("unheard", "V", "iat ", "__proto__", "名"):
        yield broken((name,), 1, "member_unknown")
    config = declaration.__struct_config__
    if config.tag_field:
        yield broken((config.tag_field,), _GONE, "member_missing")
        for other in (None, 1, "x", [config.tag]):
            yield broken((config.tag_field,), other, "malformed")
    for name, (hint, needed) in members.items():
        if needed:
            yield broken((name,), _GONE, "member_missing")
        if name in value:
            yield from _broken_value(hint, value[name], (*path, name))


def _broken_value(hint: Any, value: Any, path: tuple[str | int, ...]) -> Iterator[Breakage]:
    bare, bounds, extra = _form(hint)

    def broken(value: Any, *rules: str, said: bool = True) -> Breakage:
        return Breakage(path, value, frozenset(rules), said)

    is_version = path == ("v",)
    wrong: list[Any] = [None, True, 1.5, [], {}, "x", 1, [value], {"x": value}]
    same = (int,) if bare is int or is_version else (str,)
    if get_origin(bare) is tuple:
        same = (list,)
    elif isinstance(bare, type) and issubclass(bare, Declared):
        same = (dict,)
    for other in wrong:
        if not isinstance(other, same) or (isinstance(other, bool) and same == (int,)):
            # Of a member that may be absent, null is absence to what several must be together.
            absent = ("member_missing", "request_id") if other is None else ()
            yield broken(other, "malformed", *absent)
    if is_version:
        yield from (broken(other, "version") for other in (0, 1, 3))
    elif get_origin(bare) is Literal or isinstance(bare, EnumType):
        yield from (broken(other, "malformed") for other in ("", value + "x", value.upper() + "_"))
    elif get_origin(bare) is tuple:
        if bounds["min_length"]:
            yield broken([], "empty")
        many = [f"a{n}" for n in range(bounds["max_length"] + 1)]
        yield broken(many, "too_many", "malformed", "text")
        if value:
            yield broken([*value, value[0]], "duplicate", "too_many")
            item = get_args(bare)[0]
            yield from _broken_value(item, value[0], (*path, 0))
    elif bare is int:
        for other in (bounds["ge"] - 1, bounds["le"] + 1, 2**63):
            yield broken(other, "malformed", "uses", "ttl")
    elif bare is str and "pattern" in bounds:
        for other in ("", value + "\n", "\n" + value, value + "\0", "é" + value, value * 300):
            yield broken(other, "malformed")
    elif bare is str:
        yield broken("", "text")
        yield broken("x" * (bounds["max_length"] + 1), "text")
        if "shown" in extra:
            for hidden in (" x", "x\u3000", "x\n", "a\0b", "\u202ex", "x\u200b", "e\u0301", "\x7f"):
                yield broken(hidden, "text", said=False)
    else:
        yield from _broken_object(bare, value, path)
