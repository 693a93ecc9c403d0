"""Tests of this folder share the made-up trials of ``tests/bridge``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bridge"))
