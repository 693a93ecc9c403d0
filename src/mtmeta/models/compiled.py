"""The kernel's compiled path: large batches without moderators, where numba is installed (extra ``fast``).

It gives the numbers of the numpy path to 1e-12 (tau2: of itself plus the smallest variance), and the same
bits whatever the number of threads. Whether it is taken depends on the call and the installation alone, never
on what ran before.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from scipy.special import gammaincinv

from mtmeta.errors import UsageError
from mtmeta.models.stack import BoolArray, FloatArray

__all__ = ["SWITCH", "available", "fit_compiled", "pays"]

SWITCH = "MTMETA_COMPILED"
"""Variable of the environment that forbids compiled code if it is 0."""
_ENOUGH = 1 << 22  # effects in all rows, from which numpy takes longer than loading numba and its code
_LONGEST = 1 << 12  # effects a row, beyond which a plain sum would lose the twelfth digit
_SHARE = 1 << 17  # effects a thread gets at least


def available() -> bool:
    """Return whether compiled code can run: numba is installed and ``MTMETA_COMPILED`` is not 0."""
    return os.environ.get(SWITCH, "").strip() != "0" and find_spec("numba") is not None


def pays(rows: int, k: int, wanted: bool | None = None) -> bool:
    """Return whether `rows` meta-analyses of up to `k` effects go the compiled way.

    Parameters
    ----------
    rows, k : int
    wanted : bool, optional
        True asks for it at any size, False forbids it, None takes it for four million effects and more, if
        it is there.

    Raises
    ------
    UsageError
        Compiled code is asked for and numba is not installed.
    """
    if wanted is False or k > _LONGEST:
        return False
    if wanted is None:
        return rows * k >= _ENOUGH and available()
    if find_spec("numba") is None:
        raise UsageError("compiled=True needs numba, which is not installed: python -m pip install numba")
    return True


def fit_compiled(
    yi: FloatArray,
    vi: FloatArray,
    present: BoolArray | None,
    *,
    rows: int,
    method: str,
    tau2: FloatArray | None = None,
    threads: int | None = None,
) -> FloatArray | None:
    """Fit the rows of intercept-only meta-analyses.

    Parameters
    ----------
    yi, vi, present : ndarray (k,) or (B, k)
        As in :func:`mtmeta.models.kernel.fit`.
    rows : int
        B.
    method : str
        Any estimator of the kernel.
    tau2 : ndarray (B,), optional
        Given values, which are not estimated then.
    threads : int, optional
        At most so many; None: as numba is set to (``NUMBA_NUM_THREADS``, by default the processors this
        process may use), and one in a process that another one started to share its work.

    Returns
    -------
    ndarray (9, B) or None
        tau2, mean, its variance, Q, residual sum of squares, vt, log-likelihood, restricted one, k. None if
        a row has no answer; numpy's path then says which, and why.
    """
    from mtmeta.models.compiled_rows import METHODS, VALUES, fit_rows

    k = yi.shape[-1]
    everywhere = np.ones((1, k), dtype=np.bool_)
    mask = everywhere if present is None else np.ascontiguousarray(present).reshape(-1, k)
    code = 0 if tau2 is not None else METHODS.index("Q" if method in ("PM", "EB", "PMM") else method)
    free = np.maximum(np.arange(k + 1) - 1.0, 1.0)
    arguments = (
        np.ascontiguousarray(yi).reshape(-1, k),
        np.ascontiguousarray(vi).reshape(-1, k),
        mask,
        np.zeros(1) if tau2 is None else np.ascontiguousarray(tau2),
        2.0 * gammaincinv(0.5 * free, 0.5) if method == "PMM" else free,
        code,
    )
    out = np.empty((VALUES, rows))
    count = max(1, min(_threads() if threads is None else threads, rows * k // _SHARE, rows))
    ends = np.linspace(0, rows, count + 1).astype(int).tolist()
    if count == 1:
        return out if fit_rows(*arguments, 0, rows, out) else None
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        parts = [pool.submit(fit_rows, *arguments, start, stop, out) for start, stop in pairwise(ends)]
        answered = [part.result() for part in parts]
    return out if all(answered) else None


def _threads() -> int:
    from multiprocessing import parent_process

    import numba

    return 1 if parent_process() is not None else int(numba.config.NUMBA_NUM_THREADS)
