"""What can go wrong in a command, as one line that says what to do, and an exit code.

Not its job: the words of the service's own problems; they are in `api.answer.errors`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from pydantic import ValidationError

    from api.client import ServiceError
    from ledger.export import ExportError

NO, WRONG, INTERRUPTED = 1, 2, 130
# Typer hands on what stands for wrong usage, but not its base class.
UsageError = cast(type[Exception], typer.BadParameter.__base__)


class Answer(Exception):
    """The command's answer is no: exit 1."""


class WrongInput(Exception):
    """The user gave what cannot be: exit 2."""


class _Once:
    """Refuses an option that takes one value and is given twice: the last would win unseen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        order = self.make_parser(ctx).parse_args(args=list(args))[2]  # type: ignore[attr-defined]
        given: set[str] = set()
        for option in order:
            if option.param_type_name != "option" or option.multiple or option.is_eager:
                continue
            if option.name in given:
                ctx.fail(f"{option.opts[0]} is given twice")
            given.add(option.name)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest


class CarefulCommand(_Once, TyperCommand):
    """A command of `CarefulGroup`."""


class CarefulGroup(_Once, TyperGroup):
    """Runs every command under `failures`; wrong usage is told in one line, as all else is."""

    def invoke(self, ctx: Any) -> Any:
        with failures():
            return super().invoke(ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = args, prog_name, complete_var, False, windows_expand_args
        if not standalone_mode:
            return super().main(*given, **extra)
        try:
            code = super().main(*given, **extra) or 0
        except UsageError as error:
            code = WRONG
            if (line := _usage(error)) is not None:
                typer.echo(line, err=True)
        except typer.Abort as error:
            # At a prompt; Typer tells Ctrl-C from the end of input no longer.
            ended = isinstance(error.__context__ or error.__cause__, EOFError)
            code = WRONG if ended else INTERRUPTED
            if ended:
                typer.echo("the input ended before an answer was typed", err=True)
        if code == INTERRUPTED:
            typer.echo("interrupted", err=True)
        sys.exit(code)


def careful(app: typer.Typer) -> None:
    """Have every command and group of ``app`` be of these classes."""
    for command in app.registered_commands:
        command.cls = CarefulCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.info.cls = CarefulGroup
            careful(group.typer_instance)


def _usage(error: Any) -> str | None:
    """None for a command without arguments, whose help is on the screen already."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    said = " ".join(error.format_message().split()).removesuffix(".")
    end = "" if said.endswith("?") else "."
    path = error.ctx.command_path if error.ctx is not None else "certledger"
    return f"{path}: {said[:1].lower()}{said[1:]}{end} See {path} --help"


@contextmanager
def failures() -> Iterator[None]:
    """No traceback reaches a user, unless CERTLEDGER_DEBUG=1 asks for it."""
    try:
        yield
    except (typer.Exit, typer.Abort, UsageError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # `| head` has read enough; Typer ends quietly.
        # Not from Settings: what is wrong may be the settings.
        if os.environ.get("CERTLEDGER_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        code, line = explain(error)
        typer.echo(line, err=True)
        raise typer.Exit(code) from None


def explain(error: Exception) -> tuple[int, str]:
    """Exit code and the line to show."""
    for module, name, tell in _KNOWN:
        # A class whose module nobody has imported cannot be this error's.
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return tell(error)
    said = f": {_first_line(error)}" if str(error) else ""
    return NO, (
        f"unexpected error, {type(error).__name__}{said}. "
        "Set CERTLEDGER_DEBUG=1 to see where; please report it with that."
    )


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:300]


def _no(error: Exception) -> tuple[int, str]:
    return NO, str(error)


def _wrong(error: Exception) -> tuple[int, str]:
    return WRONG, str(error)


def _service(error: ServiceError) -> tuple[int, str]:
    if error.code == "statement.ledger":
        return NO, (
            f"{error.code}: {_first_line(error.detail)}. The file beside the key, named .ledger, "
            "says which ledger it is used for: use another key here, or take that file away"
        )
    code = WRONG if error.status in (400, 413, 422) else NO
    places = error.body.get("errors")
    at = ", ".join(str(item.get("at")) for item in places) if isinstance(places, list) else ""
    return code, f"{error.code}: {_first_line(error.detail)}" + (f" ({at})" if at else "")


def _unreachable(error: Exception) -> tuple[int, str]:
    return NO, f"{_first_line(error)}. Is it running? Start it with: certledger serve"


def _wrong_service(error: Exception) -> tuple[int, str]:
    return NO, f"{_first_line(error)}. Is --url (CERTLEDGER_URL) right?"


def _wrong_address(error: Exception) -> tuple[int, str]:
    return WRONG, f"{_first_line(error)} (--url, CERTLEDGER_URL)"


def _type(error: Exception) -> tuple[int, str]:
    from api.cli.names import near
    from ledger.catalogue import load_catalogue

    known = [name for kind in load_catalogue().types for name in (kind.code, *kind.aliases)]
    return WRONG, f"{error}{near(error.args[0], known, 'certledger types')}"


def _not_served(error: Exception) -> tuple[int, str]:
    return NO, f"not served: {error}"


def _cannot_listen(error: Exception) -> tuple[int, str]:
    return NO, f"not served: {error} (or CERTLEDGER_HOST, CERTLEDGER_PORT)"


def _behind(error: Exception) -> tuple[int, str]:
    # In this order: only of what is known to be missing can it be told that it is back.
    return NO, (
        f"not served: {error}. Nothing was changed. First run certledger fsck: it names every "
        "entry that is missing and when it was anchored. Then bring back a newer copy, or the rest "
        "of the write-ahead log archive, until fsck is clean. Only then start again. A log whose "
        "entries are gone for good cannot go on: keep it to prove what it holds, and begin another "
        "under another origin in a data folder of its own"
    )


def _chain_behind(error: Exception) -> tuple[int, str]:
    return NO, (
        f"not served: {error}. Nothing was changed. Check CERTLEDGER_CHAIN_URL first; of an "
        "embedded node bring back the copy of the data folder's node that was made together with "
        "this database, or the newest one"
    )


def _database(error: Exception) -> tuple[int, str]:
    cause = getattr(error, "orig", error)
    said = f"the database cannot be used: {_first_line(cause)}"
    if getattr(cause, "sqlstate", None) == "42501":
        said += (
            ". Give its user the right: a database of its own (ALTER DATABASE … OWNER TO …), or "
            "GRANT USAGE, CREATE ON SCHEMA"
        )
    return NO, said


def _identifier(error: Exception) -> tuple[int, str]:
    code = str(error)
    words = {
        "identifier.issuer": "the department's code cannot stand in a certificate's identifier; "
        "it must be an 18-character unified social credit code or a 6-digit region",
        "credit_code.form": "this is not an 18-character unified social credit code",
        "credit_code.check_digit": "the credit code's last character is wrong: a slip?",
        "identity_number.check_digit": "the identity number's last digit is wrong: a slip?",
        "identity_number.birth_date": "the date of birth in the identity number is no day that "
        "it can be: a slip?",
        "holder_number.form": "this is no identity number or credit code, and no number of a "
        "passport, travel permit or permanent residence card",
    }
    return WRONG, f"{code}: {words.get(code, 'the number or identifier is not well formed')}"


def _export(error: ExportError) -> tuple[int, str]:
    return WRONG, f"{error.code}: {error}"


def _unsayable(_: Exception) -> tuple[int, str]:
    return WRONG, "a number that was given is too large, or a text has no characters of Unicode"


def _settings(error: ValidationError) -> tuple[int, str]:
    told = [
        f"{'.'.join(str(part) for part in item['loc'])} (CERTLEDGER_"
        f"{str(item['loc'][0]).upper() if item['loc'] else '*'}): "
        + item["msg"].removeprefix("Value error, ")
        for item in error.errors()
    ]
    return WRONG, "wrong setting: " + "; ".join(told)


def _file(error: OSError) -> tuple[int, str]:
    if error.filename is None:
        return WRONG, error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return WRONG, f"{error.filename} is in the way: it is no folder"
    if isinstance(error, FileNotFoundError):
        return WRONG, f"no such file: {error.filename}"
    return WRONG, f"{error.filename}: {error.strerror}"


#: First match wins. Classes are named, not imported: most commands need few of these modules.
_KNOWN: tuple[tuple[str, str, Callable[[Any], tuple[int, str]]], ...] = (
    (__name__, "Answer", _no),
    (__name__, "WrongInput", _wrong),
    ("api.client", "ServiceError", _service),
    ("api.client", "WrongAddress", _wrong_address),
    ("api.client", "WrongService", _wrong_service),
    ("api.client", "ServiceUnreachable", _unreachable),
    ("ledger.catalogue", "UnknownType", _type),
    ("ledger.chain", "ChainError", _not_served),
    ("ledger.log.log", "ChainBehindLedger", _chain_behind),
    ("ledger.log.log", "LedgerBehindChain", _behind),
    ("api.data.migrating", "SchemaError", _not_served),
    ("ledger.database.transactions", "Occupied", _no),
    ("ledger.database.engines.unsupported", "UnsupportedDatabase", _wrong),
    ("api.process.node", "NodeDidNotStart", _not_served),
    ("ledger.network.sockets", "CannotListen", _cannot_listen),
    ("api.sample.founding", "NotASampleCity", _wrong),
    ("api.process.serve", "DidNotStart", _not_served),
    ("api.data.keyfiles", "KeyFileError", _wrong),
    ("api.data.belonging", "NoLedger", _wrong),
    ("api.operate.backup", "BackupError", _wrong),
    ("api.operate.witness", "WitnessError", _wrong),
    ("ledger.export", "ExportError", _export),
    ("api.bulk.importer", "KeyRefused", _no),
    ("ledger.certificate.identifiers", "IdentifierError", _identifier),
    ("audit.evidence.bundle", "BundleError", _wrong),
    ("api.media.report_pdf", "FontError", _wrong),
    ("ledger.proof.quorum", "PolicyError", _wrong),
    ("ledger.statement.kinds", "PayloadError", _wrong),
    ("ledger.proof.encoding", "EncodingError", _unsayable),
    ("pydantic", "ValidationError", _settings),
    ("sqlalchemy.exc", "SQLAlchemyError", _database),
    ("builtins", "OSError", _file),
)


def existing(path: Path) -> Path:
    """``path``, once it is sure to be a file."""
    if path.is_dir():
        raise WrongInput(f"{path} is a folder, not a file")
    if not path.exists():
        raise WrongInput(f"no such file: {path}")
    return path
