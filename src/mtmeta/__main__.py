"""``python -m mtmeta``."""

from mtmeta.cli import main

main()
