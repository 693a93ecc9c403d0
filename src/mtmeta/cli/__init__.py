"""The command line: parse, call, print, exit code; no statistics here."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

FINE, PROBLEMS, WRONG_USE = 0, 1, 2


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, 1 problems found in data, 2 wrong use.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.
    """
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
