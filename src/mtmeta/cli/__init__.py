"""The command line: parse, call, print, exit code; no statistics here."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

FINE, PROBLEMS, WRONG_USE = 0, 1, 2
OLD_PYTHON = (
    "needs Python 3.11 or newer and this is {0}.{1}; make a new environment with a newer one "
    "(python3.11 -m venv .venv) and install mtmeta there"
)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 problems found in data, 2 wrong use.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.
    """
    # pip refuses an older Python, but a source tree on the path does not
    if sys.version_info < (3, 11):  # noqa: UP036
        print(f"mtmeta: {OLD_PYTHON.format(*sys.version_info)}", file=sys.stderr)
        sys.exit(WRONG_USE)
    from mtmeta.cli.app import app
    from mtmeta.errors import MtmetaError, UsageError

    try:
        app(args=argv, prog_name="mtmeta")
    except UsageError as error:
        print(f"mtmeta: {error}", file=sys.stderr)
        sys.exit(WRONG_USE)
    except MtmetaError as error:
        print(error, file=sys.stderr)
        sys.exit(PROBLEMS)
    except BrokenPipeError:
        # the reader of the pipe has gone, as `| head` does; leave without a traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FINE)
    except KeyboardInterrupt:
        print("mtmeta: interrupted; files already written are whole", file=sys.stderr)
        sys.exit(130)
