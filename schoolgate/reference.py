"""Writes the reference pages of docs/ from the program itself: `python -m schoolgate.reference`; a test keeps them current."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from rules.decision import REASON_SENTENCES
from rules.schema import schema_reference
from schoolgate.cli import app

FOLDER = Path(__file__).parent.parent / "docs"
_GENERATED = "<!-- Written by `uv run python -m schoolgate.reference`; change the program, not this page. -->"


def commands_page() -> str:
    """Return docs/commands.md: every command with its arguments and options."""
    root = get_command(app)
    lines = [
        "# Commands", "", _GENERATED, "",
        "`schoolgate COMMAND`, from a clone: `uv run schoolgate COMMAND`. Results go to standard output, words for people to",
        "standard error.", "",
        "Exit code 0: done. 2: it can't be done as asked; one sentence says why and what to do. 1: a check failed (`audit verify`), or an",
        "error of Schoolgate's own.", "",
        "The state folder is `--state`, else the environment variable `SCHOOLGATE_STATE`, else `state` in the current folder.", "",
    ]  # fmt: skip
    assert isinstance(root, TyperGroup)
    lines += ["## Before the command", "", *_options(root), ""]
    for name, command in _commands(root, ""):
        context = typer.Context(command, info_name=name)
        usage = " ".join(part.strip("{}").upper() for part in command.collect_usage_pieces(context) if part != "[OPTIONS]")
        lines += [f"## schoolgate {name}{' ' + usage if usage else ''}", "", _paragraphs(command.help or ""), "", *_options(command), ""]
    return "\n".join(lines).rstrip() + "\n"


def settings_page() -> str:
    """Return docs/settings.md: every key of the policy file."""
    lines = [
        "# Settings", "", _GENERATED, "",
        "Everything that a school sets stands in one file, `policy.toml` in the state folder, or the file that `up --config`",
        "names. `schoolgate check` checks it as a whole. A running gateway takes a valid change over within two seconds; while the",
        "file is wrong it keeps the last good one, and says so in health and log. A key that this page does not name is an error.", "",
        "`<name>` stands for a name that you choose, `[]` for one of many (`[[…]]` in TOML).", "",
        "| key | kind | default | what it does |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| `{one.key}` | {_cell(one.type)} | `{one.default}` | {_cell(one.doc)} |" for one in schema_reference()]
    return "\n".join(lines) + "\n"


def reasons_table() -> str:
    """Return the table of every reason that a decision can have."""
    rows = [f"| `{reason.value}` | {sentence} |" for reason, sentence in REASON_SENTENCES.items()]
    return "\n".join(["| reason | what it means |", "|---|---|", *rows])


def routes_table() -> str:
    """Return the table of every address that the console answers."""
    from fastapi.dependencies.models import Dependant  # noqa: PLC0415 - the console's libraries, for this page only
    from fastapi.routing import APIRoute  # noqa: PLC0415

    from api.app import ROUTERS  # noqa: PLC0415
    from api.identity import Needs  # noqa: PLC0415
    from api.permissions import TABLE  # noqa: PLC0415

    def needs(dependant: Dependant) -> Iterator[str]:
        for inner in dependant.dependencies:
            if isinstance(inner.call, Needs):
                roles = [role.value for role, held in TABLE.items() if inner.call.permission in held]
                yield "everybody signed in" if len(roles) == len(TABLE) else ", ".join(roles)
            yield from needs(inner)

    rows = []
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                method = "/".join(sorted(route.methods or ()))
                who = next(needs(route.dependant), "no sign-in")
                rows.append(f"| `{method} {route.path}` | {who} | {_cell((route.endpoint.__doc__ or '').strip().splitlines()[0])} |")
    return "\n".join(["| address | who | what |", "|---|---|---|", *rows])


def pages() -> dict[Path, str]:
    """Return every page that is written, or partly written, from the program, as it should be."""
    found = {FOLDER / "commands.md": commands_page(), FOLDER / "settings.md": settings_page()}
    for name, mark, table in (("dsl.md", "reasons", reasons_table), ("developer.md", "routes", routes_table)):
        found[FOLDER / name] = _between_marks((FOLDER / name).read_text(encoding="utf-8"), mark, table)
    return found


def _between_marks(text: str, mark: str, table: Callable[[], str]) -> str:
    start, end = f"<!-- {mark}: written by `uv run python -m schoolgate.reference` -->", f"<!-- end of {mark} -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"a page lost its marks: {start} … {end}")
    return f"{before}{start}\n{table()}\n{end}{after}"


def _commands(group: TyperGroup, prefix: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield f"{prefix}{name}", command


def _options(command: typer.core.TyperCommand | TyperGroup) -> list[str]:
    rows = []
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            rows.append(f"| `{parameter.name.upper()}` | {_cell(parameter.help or '')} | |")
        elif isinstance(parameter, TyperOption) and parameter.name != "help":
            value = "" if parameter.is_flag else f" {parameter.metavar}"
            rows.append(f"| `{_cell(parameter.opts[0] + value)}` | {_cell(parameter.help or '')} | {_default(parameter)} |")
    return ["| | | default |", "|---|---|---|", *rows] if rows else []


def _default(option: TyperOption) -> str:
    if option.required:
        return "needed"
    if isinstance(option.show_default, str):
        return option.show_default
    if option.default is None or option.is_flag:
        return ""
    return f"`{getattr(option.default, 'value', option.default)}`"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
