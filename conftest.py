"""What pytest collects where optional packages are missing."""

from importlib.util import find_spec

# doctests import every module of src; this one is compiled code and nothing else
collect_ignore = [] if find_spec("numba") else ["src/mtmeta/models/compiled_rows.py"]
