"""The parser of the command line: commands, unknown words, and errors of one line.

Nothing heavy is imported here, so that every ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from typing import NoReturn

from fastgmm._version import __version__
from fastgmm.cli import arguments, options, values
from fastgmm.cli.help import COMMANDS, overview
from fastgmm.cli.wording import one_line, option_for

#: Options with another name, known to users of scikit-learn.
_ALIASES = {"--n-components": "--components"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastgmm: error: {one_line(message)}; see {self.prog} --help\n")


class _Program(Parser):
    """The parser of the program, whose help is the overview of the commands."""

    def format_help(self) -> str:
        return overview()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line; raise SystemExit for help, the version, and errors."""
    parser, commands = build()
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    if not argv:
        parser.error(f"a command is missing: {', '.join(commands)}")
    if not argv[0].startswith("-") and argv[0] not in commands:
        parser.error(values.unknown("command", argv[0], list(commands)))
    if argv[0] in commands:
        argv = [_ALIASES.get(option, option) + rest for option, rest in map(_split_option, argv)]
        _check_options(argv[1:], commands[argv[0]])
    args, extra = parser.parse_known_args(argv)
    if extra:
        commands[args.command].error(f"too many arguments: {' '.join(extra)}")
    return args


def build() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the program, and those of its commands by name."""
    parser = _Program(prog="fastgmm", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastgmm {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    commands: dict[str, Parser] = {}
    for name, text in COMMANDS.items():
        command = commands[name] = subparsers.add_parser(
            name,
            help=text.summary,
            usage=f"fastgmm {name} {text.usage}",
            description=text.summary[0].upper() + text.summary[1:] + ".",
            epilog=text.epilog(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        command._positionals.title = "arguments"
        arguments.ADD[name](command)
        options.general(command)
    return parser, commands


def _complete(parser: Parser) -> None:
    """Answer a shell that asks for completions, and end the process; return if the package for it is not installed."""
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser)


def _split_option(word: str) -> tuple[str, str]:
    """Split a word into an option and the rest from "=" on."""
    option, equals, value = word.partition("=")
    return option, equals + value


def _check_options(words: Sequence[str], command: Parser) -> None:
    """Refuse an option that the command does not have, before asking for missing ones."""
    known = command._option_string_actions
    for word in words:
        option = _split_option(word)[0]
        if word == "--":
            return
        if not word.startswith("-") or word == "-" or option in known or word[:2] in known or _is_number(word):
            continue
        meant = option_for(option)
        if meant in known or (meant is not None and f"{meant}s" in known):
            command.error(f"unknown option {option!r}; did you mean {meant if meant in known else f'{meant}s'}?")
        command.error(values.unknown("option", option, list(known)))


def _is_number(word: str) -> bool:
    with contextlib.suppress(ValueError):
        float(word)
        return True
    return False
