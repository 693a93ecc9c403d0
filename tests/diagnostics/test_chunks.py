"""One core, two processes, a cluster: the same bits, also when a worker dies; nothing is left running."""

from __future__ import annotations

import builtins
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pytest

from mtmeta.diagnostics import chunks, gosh as gosh_module
from mtmeta.diagnostics.chunks import in_chunks
from mtmeta.diagnostics.gosh import gosh
from mtmeta.diagnostics.multiverse import Multiverse, multiverse
from mtmeta.diagnostics.multiverse_flips import multiverse_test
from mtmeta.diagnostics.selection import SelectionModel
from mtmeta.diagnostics.simulation import next_trial, simulate
from mtmeta.effects.table import EffectSizes
from mtmeta.errors import ModelError, UsageError
from mtmeta.models.bayes import BayesRandomEffects
from mtmeta.models.pool import CommonEffect, RandomEffects
from mtmeta.models.priors import HalfNormal, Normal

pytestmark = pytest.mark.xdist_group("cluster")  # its processes start once


def trials(k: int) -> EffectSizes:
    rng = np.random.default_rng(11)
    vi = rng.uniform(0.02, 0.2, k)
    return EffectSizes.of(rng.normal(0.2, np.sqrt(vi + 0.05)), vi, "SMD")


def curve() -> Multiverse:
    es = trials(18)
    return multiverse(
        ({"model": tau2, "interval": ci}, es, RandomEffects(tau2, ci=ci))
        for tau2 in ("DL", "REML")
        for ci in ("Wald", "HKSJ")
    )


class Running(Protocol):
    """What tests/conftest.py starts: a scheduler and its workers."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


StartCluster = Callable[[Path], AbstractContextManager[Running]]


@pytest.fixture(scope="module")
def cluster(running: StartCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    with running(tmp_path_factory.mktemp("cluster")) as one:
        yield one


@pytest.fixture(params=["two processes", "a cluster"])
def elsewhere(request: pytest.FixtureRequest) -> int | str:
    if request.param == "two processes":
        return 2
    found: Running = request.getfixturevalue("cluster")
    return found.address


def test_gosh_is_the_same_everywhere(elsewhere: int | str) -> None:
    es, model = trials(24), RandomEffects("DL")
    here = gosh(model, es, subsets=70_000, seed=5)
    there = gosh(model, es, subsets=70_000, seed=5, cluster=elsewhere)
    pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_a_multiverse_is_the_same_everywhere(elsewhere: int | str) -> None:
    """Models that go in batches, and some that are fitted one by one."""
    parts = [trials(k) for k in range(5, 17)]
    models: dict[str, Any] = {
        "common": CommonEffect(),
        "REML": RandomEffects("REML"),
        "steps": SelectionModel([0.5], alternative="greater"),
        "Bayes": BayesRandomEffects(mu=Normal(0, 2), tau=HalfNormal(0.5)),
    }
    points = [
        ({"trials": str(es.k), "model": name}, es, model)
        for es in parts[6:]
        for name, model in models.items()
    ]
    here, there = multiverse(points), multiverse(points, cluster=elsewhere)
    pd.testing.assert_frame_equal(here.to_frame(), there.to_frame(), check_exact=True)


def test_a_failed_specification_is_named_everywhere(elsewhere: int | str) -> None:
    points = [
        ({"model": "steps"}, EffectSizes.of([0.1, 0.2, 0.1], [0.1] * 3, "SMD"), SelectionModel([0.025]))
    ]
    told = []
    for cluster in (None, elsewhere):
        with pytest.raises(ModelError, match="the specification model=steps: ") as error:
            multiverse([*points, ({"model": "RE"}, trials(5), RandomEffects())], cluster=cluster)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_the_joint_test_is_the_same_everywhere(elsewhere: int | str) -> None:
    here = multiverse_test(curve(), flips=400, seed=2)
    there = multiverse_test(curve(), flips=400, seed=2, cluster=elsewhere)
    assert (here.observed, here.pvalues) == (there.observed, there.pvalues)


def test_simulations_are_the_same_everywhere(elsewhere: int | str) -> None:
    es, model = trials(6), RandomEffects("REML", ci="HKSJ")

    def both(cluster: int | str | None) -> tuple[object, ...]:
        one = simulate(model, es.vi, mu=0.1, tau2=0.05, replications=3500, seed=1, cluster=cluster)
        two = next_trial(model, es, [0.05, 0.2], replications=1500, seed=1, cluster=cluster)
        return (*(getattr(one, name) for name in ("coverage", "bias", "rmse", "width")), two.to_dict())

    assert both(None) == both(elsewhere)


def test_a_killed_worker_costs_nothing(
    running: StartCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two workers is killed after the first chunk; its chunks are done by the other."""
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    monkeypatch.setattr(gosh_module, "_CHUNK", 4096)
    es, model = trials(17), RandomEffects("REML")
    here = gosh(model, es)
    seen: list[tuple[int, int]] = []
    with running(tmp_path) as one:

        def report(done: int, total: int) -> None:
            if not seen:
                one.workers[0].kill()
                one.workers[0].wait()
            seen.append((done, total))

        there = gosh(model, es, cluster=one.address, progress=report)
        assert one.workers[0].poll() is not None
        assert one.workers[1].poll() is None
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    assert len(here) == 2**17 - 1
    assert seen == [(i + 1, 32) for i in range(32)]


def test_a_cluster_that_goes_away_is_said(
    running: StartCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler in mid-run; then workers before it begins."""
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    with running(tmp_path) as one:

        def report(done: int, total: int) -> None:
            if done == 1:
                one.scheduler.kill()

        with pytest.raises(ModelError, match="scheduler of the cluster went away"):
            list(in_chunks(time.sleep, [0.2] * 40, cluster=one.address, progress=report))
    monkeypatch.setattr(chunks, "_WORKERS", 1)
    (tmp_path / "again").mkdir()
    with running(tmp_path / "again") as one:
        for worker in one.workers:
            worker.kill()
            worker.wait()
        with pytest.raises(
            UsageError, match="has had no worker for 1 seconds; start some: dask worker tcp://"
        ):
            list(in_chunks(abs, [1], cluster=one.address))


def test_a_client_stays_open(cluster: Running) -> None:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        assert list(in_chunks(abs, [-1, 2], cluster=client)) == [1, 2]
        assert list(in_chunks(abs, [-3], cluster=client)) == [3]
        assert client.status == "running"


def test_an_error_of_the_work_comes_back(elsewhere: int | str) -> None:
    with pytest.raises(ValueError, match="factorial"):
        list(in_chunks(_factorial(), [-1, 3], cluster=elsewhere))


def _factorial() -> Callable[[int], int]:
    import math

    return math.factorial


def test_progress_counts_pieces() -> None:
    seen: list[tuple[int, int]] = []
    answer = list(in_chunks(abs, [-1, 2, -3], progress=lambda done, total: seen.append((done, total))))
    assert answer == [1, 2, 3]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (0, -1, True):
        with pytest.raises(UsageError, match="number of processes"):
            list(in_chunks(abs, [1], cluster=wrong))
    with pytest.raises(UsageError, match="tcp://host:8786"):
        list(in_chunks(abs, [1], cluster=object()))  # type: ignore[arg-type]
    real = builtins.__import__

    def absent(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match=r"pip install distributed"):
        gosh(CommonEffect(), trials(3), cluster="tcp://127.0.0.1:1")


def test_no_scheduler_there_is_said() -> None:
    pytest.importorskip("distributed", reason="the extra mtmeta[cluster] is not installed")
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        gosh(CommonEffect(), trials(3), cluster="tcp://127.0.0.1:9")
