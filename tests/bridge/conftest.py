"""Tests of this folder share ``made_trials``, which the importlib mode of pytest does not find by itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
