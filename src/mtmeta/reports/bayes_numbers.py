"""Bayesian answers as plain data, for lock files and ``--json``; and their comparison with an old lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from mtmeta.audit.bayes import BayesRun, run_bayes
from mtmeta.audit.priors import Priors
from mtmeta.effects.table import EffectSizes
from mtmeta.measures import Interval
from mtmeta.reports.words import significant

__all__ = ["bayes_numbers", "bayes_refit", "flat_bayes", "prior_changes"]

_COMPARED = (
    "estimate",
    "ci",
    "pi",
    "mean",
    "sd",
    "tau",
    "tau_ci",
    "i2",
    "prob_better",
    "log_marginal",
    "log_bf_no_effect",
    "log_bf_no_heterogeneity",
)
_PAIRS = ("ci", "pi", "tau_ci")


def _pair(ci: Interval) -> list[float]:
    return [significant(ci.low), significant(ci.high)]


def bayes_numbers(run: BayesRun) -> dict[str, Any]:
    """All numbers of one Bayesian answer at 12 significant digits.

    ``estimate`` (posterior median), ``ci`` and ``pi`` are on the scale people read; ``mean``, ``sd``,
    ``tau`` (median) and its interval are on the scale of analysis. Intervals have equal tails. The two
    ``log_bf`` are natural logarithms of the Bayes factor of the hypothesis against this model, and are,
    with ``log_marginal``, null where a prior is improper.
    """
    result, level = run.result, run.level
    both = result.mu_prior.proper and result.tau_prior.proper
    tau_proper, mu_proper = result.tau_prior.proper, result.mu_prior.proper
    return {
        "label": run.label,
        "priors": {"mu": repr(result.mu_prior), "tau": repr(result.tau_prior), "words": run.words},
        "asked": run.priors.model_dump(mode="json", exclude_defaults=True),
        "k": result.k,
        "estimate": significant(run.estimate),
        "ci": _pair(run.ci),
        "level": level,
        "pi": _pair(run.pi),
        "mean": significant(result.mu.mean),
        "sd": significant(result.mu.sd),
        "tau": significant(result.tau.median),
        "tau_ci": _pair(result.tau.ci(level)),
        "i2": significant(result.i2),
        "prob_better": significant(run.prob_better),
        "log_marginal": significant(result.log_marginal) if both else None,
        "log_bf_no_effect": significant(result.log_bayes_factor(mu=result.effects.measure.null))
        if mu_proper
        else None,
        "log_bf_no_heterogeneity": significant(result.log_bayes_factor(tau=0.0)) if tau_proper else None,
    }


def flat_bayes(results: Mapping[str, Any]) -> dict[str, float | None]:
    """Return every compared number of the Bayesian answers of a run or lock by its name."""
    return dict(_flat(results.get("bayes") or []))


def _flat(answers: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float | None]]:
    for answer in answers:
        for name in _COMPARED:
            where = f"Bayes {answer['label']}: {name}"
            value = answer[name]
            if name in _PAIRS:
                yield f"{where} low", value[0]
                yield f"{where} high", value[1]
            else:
                yield where, value


def bayes_refit(
    effects: EffectSizes, asked: Iterable[Mapping[str, Any]], *, better: Literal["lower", "higher"]
) -> dict[str, float | None]:
    """Answer again from the rows a lock keeps, under the priors that a lock's answers were asked with.

    Raises
    ------
    AnalysisError
        Priors under which these rows have no posterior.
    """
    out: dict[str, float | None] = {}
    for answer in asked:
        priors = Priors.model_validate(answer["asked"])
        runs = run_bayes((priors,), effects, better=better, level=answer["level"])
        out |= dict(_flat({**bayes_numbers(run), "label": answer["label"]} for run in runs))
    return out


def prior_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which priors are new, gone, or no longer what they were under the same name."""
    before, after = ({a["label"]: a["priors"] for a in r.get("bayes") or []} for r in (old, new))
    words = [f"question: Bayes {label} is new" for label in after if label not in before]
    words += [f"question: Bayes {label} is gone" for label in before if label not in after]
    for label in before.keys() & after.keys():
        for name in ("mu", "tau"):
            was, now = before[label][name], after[label][name]
            if was != now:
                words.append(f"convention: prior of {name} in Bayes {label} was {was} and is {now}")
    return tuple(sorted(words))
