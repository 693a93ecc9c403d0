"""Work in pieces: in this process, in several, or on a Dask cluster, with the same answer bit for bit.

What is cut, and the seed of each piece, depends on the question alone and never on who computes it; answers
are taken in the order of the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

from mtmeta.errors import ModelError, UsageError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "Progress", "in_chunks", "who_works"]

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws)://[^/:\s]+:\d+|(tcp|tls|ucx|ws)://\[[0-9a-fA-F:.]+\]:\d+")
_WHO = (
    "give a number of processes, the address of a scheduler such as 'tcp://host:8786', or a "
    "distributed.Client"
)
_ANSWERS = 5  # seconds until a scheduler must answer
_WORKERS = 60  # seconds until it must have a worker; a cluster that grows by need takes its time

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")
Cluster = Union["Client", str, int, None]
"""None or 1: this process. A number: so many processes of this machine. An address, such as
``tcp://host:8786``, or a ``distributed.Client``: that cluster."""


def who_works(option: str | None) -> int | str | None:
    """Return who a command line asks to work: a number of processes, an address, or this process for None.

    Raises
    ------
    UsageError
        What cannot be either; whether a scheduler answers is seen when there is work.

    Examples
    --------
    >>> who_works("2"), who_works("tcp://host:8786"), who_works(None)
    (2, 'tcp://host:8786', None)
    """
    who = int(option) if option is not None and option.isdecimal() else option
    _check(who)
    return who


class Progress(Protocol):
    """Called after each piece of work with what was done and how much there is."""

    def __call__(self, done: int, total: int) -> None:
        """Report progress."""


def in_chunks(
    work: Callable[[Piece], Answer],
    pieces: Sequence[Piece],
    *,
    cluster: Cluster = None,
    progress: Progress | None = None,
) -> Iterator[Answer]:
    """Do the same work on every piece and yield the answers in the order of the pieces.

    Parameters
    ----------
    work : callable
        A function of one piece that looks at nothing else. For other processes it must be importable (a
        function of a module, or ``functools.partial`` of one).
    pieces : sequence
    cluster : None, int, str or distributed.Client, optional
        Who works: this process, so many processes, or a Dask cluster (needs the extra ``cluster``). A client
        given stays open; one made from an address is closed.
    progress : callable, optional

    Yields
    ------
    The answer of each piece.

    Raises
    ------
    UsageError
        A `cluster` that is none of these; an address where no scheduler answers, or one without workers; no
        ``distributed``.
    ModelError
        The cluster lost a piece for good (its workers died on it several times), or its scheduler went away.

    Examples
    --------
    >>> list(in_chunks(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    total = len(pieces)
    _check(cluster)
    if cluster is None or cluster == 1 or total == 0:
        yield from _told(map(work, pieces), total, progress)
    elif isinstance(cluster, int):
        yield from _processes(work, pieces, cluster, progress)
    else:
        with _client(cluster) as client:
            yield from _dask(client, work, pieces, progress)


def _check(cluster: Cluster) -> None:
    if isinstance(cluster, bool) or (isinstance(cluster, int) and cluster < 1):
        raise UsageError(
            f"cluster={cluster!r}: give a number of processes of 1 or more, an address or a Client"
        )
    if isinstance(cluster, str) and not _ADDRESS.fullmatch(cluster):
        raise UsageError(f"cluster={cluster!r}: {_WHO}")


def _told(answers: Iterator[Answer], total: int, progress: Progress | None) -> Iterator[Answer]:
    for done, answer in enumerate(answers, 1):
        yield answer
        if progress is not None:
            progress(done, total)


def _processes(
    work: Callable[[Piece], Answer], pieces: Sequence[Piece], count: int, progress: Progress | None
) -> Iterator[Answer]:
    import pickle
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # what the work carries along, such as all records, is unpacked once in each process, not for each piece
    packed = partial(_do, pickle.dumps(work))
    # spawned, not forked: a fork of a process with threads (a client, a terminal's progress) may hang
    with ProcessPoolExecutor(min(count, len(pieces)), mp_context=get_context("spawn")) as pool:
        yield from _told(pool.map(packed, pieces), len(pieces), progress)


def _do(work: bytes, piece: Piece) -> Any:
    return _unpacked(work)(piece)


@lru_cache(maxsize=1)
def _unpacked(work: bytes) -> Callable[[Any], Any]:
    import pickle

    opened: Callable[[Any], Any] = pickle.loads(work)
    return opened


@contextmanager
def _client(cluster: Client | str) -> Iterator[Client]:
    try:
        from distributed import Client, Security
    except ImportError:
        raise UsageError(
            "a cluster needs the package distributed, which is not installed: pip install distributed"
        ) from None
    if isinstance(cluster, Client):
        yield cluster
        return
    if not isinstance(cluster, str):
        raise UsageError(f"cluster={cluster!r}: {_WHO}")
    if cluster.startswith("tls:") and Security().get_connection_args("client").get("ssl_context") is None:
        raise UsageError(f"{cluster} is encrypted, and Dask's configuration names no certificate for that")
    try:
        client = Client(cluster, timeout=_ANSWERS, set_as_default=False)
    except (OSError, ValueError) as why:
        raise UsageError(f"no Dask scheduler answers at {cluster}: {why}") from why
    try:
        yield client
    finally:
        client.close()


def _dask(
    client: Client, work: Callable[[Piece], Answer], pieces: Sequence[Piece], progress: Progress | None
) -> Iterator[Answer]:
    """Submit all pieces; those of a worker that dies are given to another by the scheduler.

    The work itself is a result on the cluster, sent to each worker once; if it is lost with a worker, the
    scheduler makes it again.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, as_completed

    shared = client.submit(_same, work, pure=False)
    futures = client.map(_call, [shared] * len(pieces), pieces, pure=False)
    try:
        _worker_came(client)
        if progress is not None:
            for done, _ in enumerate(as_completed(futures, loop=client.loop), 1):
                progress(done, len(futures))
        for future in futures:
            yield future.result()
    except KilledWorker as why:
        raise ModelError(f"the cluster lost a piece of the work for good: {why}") from why
    except CancelledError as why:
        raise ModelError(
            "the scheduler of the cluster went away before the work was done; start it and run again"
        ) from why
    finally:
        if client.status == "running":
            client.cancel([*futures, shared])


def _worker_came(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=_WORKERS)
    except TimeoutError as why:
        where = client.scheduler.address if client.scheduler is not None else "there"
        raise UsageError(
            f"the scheduler {where} has had no worker for {_WORKERS} seconds; start some: dask worker {where}"
        ) from why


def _same(work: Callable[[Piece], Answer]) -> Callable[[Piece], Answer]:
    return work


def _call(work: Callable[[Piece], Answer], piece: Piece) -> Answer:
    return work(piece)
