"""What was done, in sentences that a methods section can take over."""

from __future__ import annotations

__all__ = ["halves_text", "methods_text", "p_text"]

_TAU2 = {
    "REML": "restricted maximum likelihood (Viechtbauer 2005)",
    "ML": "maximum likelihood (Hardy and Thompson 1996)",
    "DL": "the method of DerSimonian and Laird (1986)",
    "DL2": "the two-step method of DerSimonian and Kacker (2007)",
    "HE": "the method of Hedges and Olkin (1985)",
    "HS": "the method of Hunter and Schmidt (2015)",
    "HSk": "the method of Hunter and Schmidt with the correction of Brannick et al. (2019)",
    "SJ": "the method of Sidik and Jonkman (2005)",
    "EB": "empirical Bayes (Morris 1983)",
    "PM": "the method of Paule and Mandel (1982)",
    "PMM": "the median-unbiased method of Paule and Mandel (Viechtbauer 2021)",
}

_CI = {
    "Wald": "The interval and the test of the pooled effect use normal quantiles (Wald).",
    "HKSJ": (
        "The interval and the test of the pooled effect are those of Hartung and Knapp (2001) and Sidik and "
        "Jonkman (2002), with k - 1 degrees of freedom."
    ),
    "HKSJ-floor": (
        "The interval and the test of the pooled effect are those of Hartung and Knapp (2001) with the "
        "variance factor kept at 1 or above (Knapp and Hartung 2003)."
    ),
    "KR": (
        "The interval and the test of the pooled effect are those of Kenward and Roger (1997), as Partlett "
        "and Riley (2017) use them."
    ),
    "PL": (
        "The interval and the test of the pooled effect come from the profile likelihood "
        "(Hardy and Thompson 1996)."
    ),
    "Henmi-Copas": "The interval is that of Henmi and Copas (2010).",
    "IVhet": "The variance of the pooled effect is the quasi-likelihood one of Doi et al. (2015).",
}
_IQWIG = "The choice between the two follows the rule of IQWiG (2022)."


def methods_text(model: str, tau2_method: str, tau2: float, ci_method: str, note: str) -> str:
    """Return sentences naming model, estimator, interval and fallback with their sources.

    Examples
    --------
    >>> print(methods_text("CommonEffect", "none", 0.0, "Wald", ""))
    Effects were pooled with the common-effect model and inverse-variance weights. The interval and
    the test of the pooled effect use normal quantiles (Wald).
    """
    if model == "CommonEffect":
        first = "Effects were pooled with the common-effect model and inverse-variance weights."
    elif tau2_method == "given":
        first = (
            "Effects were pooled with the random-effects model, "
            f"its between-study variance given as {tau2:g}."
        )
    else:
        frame = (
            "Effects were pooled with the random-effects model"
            if model == "RandomEffects"
            else "Effects were pooled with the weights of the common-effect model"
        )
        first = f"{frame}; the between-study variance was estimated by {_TAU2[tau2_method]}."
    plain = (
        ci_method.removeprefix("IQWiG (").removesuffix(")") if ci_method.startswith("IQWiG") else ci_method
    )
    parts = [first, _CI[plain]]
    if plain != ci_method:
        parts.append(_IQWIG)
    if note:
        parts.append(f"({note[0].upper()}{note[1:]}.)")
    return " ".join(parts)


def halves_text(names: tuple[str, ...], k: int) -> str:
    """Return a sentence on the studies to whose zero counts one half was added, empty without any.

    Examples
    --------
    >>> halves_text(("Kim 1999",), 12).strip()
    'One half was added to the counts of 1 of 12 studies (Kim 1999), of which one is 0.'
    """
    if not names:
        return ""
    which = f" ({', '.join(names)})" if len(names) <= 5 else ""
    return f" One half was added to the counts of {len(names)} of {k} studies{which}, of which one is 0."


def p_text(p: float) -> str:
    """Return a p-value in words, never as a plain zero.

    Examples
    --------
    >>> p_text(0.0349), p_text(1e-9)
    ('p = 0.035', 'p < 0.001')
    """
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
