"""The effect table: the only thing a model sees."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from mtmeta.effects.checks import FloatArray, frozen, labels, numbers, require, rows_of
from mtmeta.effects.left import LeftOut
from mtmeta.errors import DataWarning, EffectError, UsageError
from mtmeta.measures import Measure, measure_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EffectSizes"]

_SQUARE_IT = "a sampling variance must be above 0; it is the standard error squared (vi = se**2)"


class _FrameField:
    """A field holding a DataFrame that hands out copies, so that a frozen table stays frozen."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}_frame"

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...
    @overload
    def __get__(self, instance: object, owner: type) -> pd.DataFrame | None: ...
    def __get__(self, instance: object | None, owner: type) -> pd.DataFrame | None:
        if instance is None:  # read by dataclass as the default value
            return None
        frame: pd.DataFrame | None = instance.__dict__.get(self._name)
        return None if frame is None else frame.copy()

    def __set__(self, instance: object, value: pd.DataFrame | None) -> None:
        instance.__dict__[self._name] = None if value is None else value.reset_index(drop=True).copy()


@dataclass(frozen=True, eq=False, repr=False)
class EffectSizes:
    """Effect sizes and their sampling variances, one row an effect. Frozen.

    Use :meth:`of` for arrays and :meth:`from_frame` for raw data; the constructor takes every
    field as it shall stand, and checks it.

    Attributes
    ----------
    yi, vi : ndarray of shape (k,)
        Effects on the scale of `measure` (treatment minus control), and sampling variances > 0.
        Read-only.
    measure : Measure
    study, cluster : tuple of str, length k
        A repeated study is allowed.
    n, n1, n2 : ndarray of shape (k,) or None
        Participants in all and by arm (1 treatment, 2 control); NaN where a row does not tell.
    moderators : DataFrame of k rows or None
    columns : DataFrame of k rows or None
        Labels and data that results pass on to tables and figures; models never look inside.
        Both frames are handed out as copies: changing one changes nothing here.
    left_out : tuple of LeftOut
        What was looked at and not taken, with the reason, where records were asked.

    Raises
    ------
    EffectError
        No row, unequal lengths, a value that is missing or not finite, a variance not above 0.

    Examples
    --------
    BCG vaccine, first three trials (Viechtbauer 2010, J Stat Softw 36(3), p. 12).

    >>> es = EffectSizes.of([-0.8893, -1.5854, -1.3481], [0.3256, 0.1946, 0.4154], "RR")
    >>> es
    EffectSizes(RR, k=3, yi -1.585 to -0.8893)
    >>> es.study
    ('1', '2', '3')
    """

    yi: FloatArray
    vi: FloatArray
    measure: Measure
    study: tuple[str, ...]
    cluster: tuple[str, ...]
    n: FloatArray | None = None
    n1: FloatArray | None = None
    n2: FloatArray | None = None
    moderators: _FrameField = _FrameField()
    columns: _FrameField = _FrameField()
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        study, k = self.study, len(self.study)
        if k == 0:
            raise EffectError("no effect sizes: the table has no rows; give at least one study")
        if not isinstance(self.measure, Measure):
            raise UsageError(f"measure={self.measure!r} must be a Measure; EffectSizes.of also takes a code")
        if not isinstance(study, tuple) or not isinstance(self.cluster, tuple):
            raise UsageError("study and cluster must be tuples of str; EffectSizes.of takes any sequence")
        values = {"yi": numbers("yi", self.yi, study), "vi": numbers("vi", self.vi, study)}
        for name in ("n", "n1", "n2"):
            if getattr(self, name) is not None:
                values[name] = numbers(name, getattr(self, name), study, missing=None)
        frames = {"moderators": self.moderators, "columns": self.columns}
        for name, part in {**values, "cluster": self.cluster, **frames}.items():
            if part is not None and len(part) != k:
                raise EffectError(
                    f"{name} has {len(part)} rows for {k} studies; all parts need the same length"
                )
        require(values["vi"] > 0, "vi", values["vi"], _SQUARE_IT, study)
        for name in ("n", "n1", "n2"):
            if name in values:
                require(~(values[name] <= 0), name, values[name], "a group has participants", study)
        for name, array in values.items():
            object.__setattr__(self, name, frozen(array))

    @property
    def half_added(self) -> tuple[str, ...]:
        """Studies to whose counts one half was added because one of them was 0; no others are known."""
        if self.columns is None:
            return ()
        if "half_added" in self.columns:  # halves.COLUMN, written by from_frame
            flags = self.columns["half_added"].astype(bool)
        elif "route" in self.columns:
            flags = self.columns["route"].astype(str).str.contains("½ is added")
        else:
            return ()
        return tuple(name for name, flag in zip(self.study, flags, strict=True) if flag)

    @classmethod
    def of(
        cls,
        yi: npt.ArrayLike,
        vi: npt.ArrayLike,
        measure: Measure | str = "GEN",
        *,
        study: Sequence[Any] | npt.ArrayLike | None = None,
        cluster: Sequence[Any] | npt.ArrayLike | None = None,
        n: npt.ArrayLike | None = None,
        n1: npt.ArrayLike | None = None,
        n2: npt.ArrayLike | None = None,
        moderators: pd.DataFrame | Mapping[str, Any] | None = None,
        columns: pd.DataFrame | Mapping[str, Any] | None = None,
    ) -> EffectSizes:
        """Build the table from effects and their sampling variances.

        Parameters
        ----------
        yi : array_like of shape (k,)
            Effects on the scale of analysis: a log odds ratio, not an odds ratio.
        vi : array_like of shape (k,)
            Sampling variances (squared standard errors), above 0.
        measure : Measure or str, default "GEN"
            What `yi` is, as object or code.
        study : sequence of length k, optional
            Labels; "1" to "k" by default. A label may stand more than once.
        cluster : sequence of length k, optional
            What makes effects depend on each other; the study by default.
        n, n1, n2 : array_like of shape (k,), optional
            Participants in all, treated, control; NaN where unknown. `n` is ``n1 + n2`` by default.
        moderators, columns : DataFrame or mapping of k rows, optional
            See :class:`EffectSizes`. Rows are matched by position; a frame whose index holds the
            study labels in another order is refused.

        Returns
        -------
        EffectSizes

        Raises
        ------
        EffectError
            See :class:`EffectSizes`; the message names the study, the value and the remedy.

        Warns
        -----
        DataWarning
            When every variance of a standardised mean difference with known arm sizes is what its
            standard error should be: most likely standard errors were passed as variances.

        Examples
        --------
        Six studies of Borenstein et al. (2009), chapter 14, two of them here.

        >>> es = EffectSizes.of([0.0945, 0.2774], [0.0334, 0.0311], "SMD",
        ...                     study=["Carroll", "Grant"], n1=[60, 65], n2=[60, 65])
        >>> es.n
        array([120., 130.])
        >>> es.sei.round(4)
        array([0.1828, 0.1764])
        """
        table = cls._build(
            yi,
            vi,
            measure,
            study=study,
            cluster=cluster,
            sizes=(n, n1, n2),
            moderators=moderators,
            columns=columns,
        )
        _warn_of_standard_errors(table)
        return table

    @classmethod
    def _build(
        cls,
        yi: npt.ArrayLike,
        vi: npt.ArrayLike,
        measure: Measure | str,
        *,
        study: Any,
        cluster: Any,
        sizes: tuple[npt.ArrayLike | None, ...],
        moderators: Any,
        columns: Any,
    ) -> EffectSizes:
        k = rows_of(yi)
        names = tuple(str(i + 1) for i in range(k)) if study is None else labels("study", study, k)
        total, treated, control = (
            _sizes(name, part, names) for name, part in zip(("n", "n1", "n2"), sizes, strict=True)
        )
        if total is None and treated is not None and control is not None and treated.size == control.size:
            total = _sizes_or_none(treated + control)
        return cls(
            yi=numbers("yi", yi, names),
            vi=numbers("vi", vi, names),
            measure=measure_of(measure),
            study=names,
            cluster=names if cluster is None else labels("cluster", cluster, k),
            n=total,
            n1=treated,
            n2=control,
            moderators=_frame("moderators", moderators, names),
            columns=_frame("columns", columns, names),
        )

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        measure: Measure | str = "SMD",
        study: str | None = "study",
        variance: str = "LS",
        zero_cells: str = "metafor",
        cluster: str | None = None,
        moderators: Sequence[str] | str | pd.DataFrame | None = None,
    ) -> EffectSizes:
        """Compute effects from columns of raw data, one row an effect.

        Parameters
        ----------
        df : DataFrame of k rows
            The columns that the measure needs: ``m1 sd1 n1 m2 sd2 n2`` (two groups), ``a n1 c n2``
            (events), ``m1 m2 sd1 sd2 n r`` (paired, m1 − m2), ``x1 t1 x2 t2`` (rates), ``r n``,
            ``x n``, ``x t``, ``m sd n``; see ``measure_of(code).needs``. Where they are not there,
            ``yi`` and ``vi`` (or ``sei``, standard errors) are taken as they stand.
        measure : Measure or str, default "SMD"
            metafor's code, with the meaning it has in ``escalc`` of metafor 5.1.
        study : str or None, default "study"
            Column of the labels. Without a column "study", or for None, they are "1" to "k".
        variance : {"LS", "LS2", "UB", "AV", "RevMan", "HO", "ST", "CS"}, default "LS"
            Sampling variance; each measure has some of them, and the message of the error says which.
        zero_cells : {"metafor", "RevMan", "none"}, default "metafor"
            What to do with zero cells of events; see :func:`mtmeta.effects.binary.odds_ratio`.
        cluster : str, optional
            Column of what makes effects depend on each other; the study by default.
        moderators : column name, list of them, or DataFrame of k rows, optional

        Returns
        -------
        EffectSizes
            `columns` holds what is left of `df`: all but study, cluster, moderators and effects; and, where
            one half was added to a zero count, ``half_added`` (see :attr:`half_added`).

        Raises
        ------
        EffectError
            A missing column; a value that is missing, text, negative, or impossible (an SD of 0,
            more events than people): the message names study, column, value and remedy.
        UsageError
            An unknown measure or choice, or a variance that the measure does not have.

        Warns
        -----
        DataWarning
            Rows that RevMan's zero-cell rule leaves without an estimate; they are left out.

        Examples
        --------
        Borenstein et al. (2009), ch. 14, data set 1: Carroll and Grant.

        >>> import pandas as pd
        >>> df = pd.DataFrame({"study": ["Carroll", "Grant"], "m1": [94, 98], "sd1": [22, 21], "n1": [60, 65],
        ...                    "m2": [92, 92], "sd2": [20, 22], "n2": [60, 65]})
        >>> es = EffectSizes.from_frame(df, measure="SMD")
        >>> es.yi.round(6), es.study
        (array([0.094524, 0.277356]), ('Carroll', 'Grant'))
        """
        from mtmeta.effects.frame import effects_of_frame

        kind = measure_of(measure)
        found = effects_of_frame(df, kind, study, variance, zero_cells, cluster, moderators)
        table = cls._build(
            found.yi,
            found.vi,
            kind,
            study=found.study,
            cluster=found.cluster,
            sizes=(found.n, found.n1, found.n2),
            moderators=found.moderators,
            columns=found.columns,
        )
        if found.reported:
            _warn_of_standard_errors(table)
        return table

    @property
    def k(self) -> int:
        """Number of effects."""
        return len(self.study)

    @property
    def sei(self) -> FloatArray:
        """Standard errors, the square roots of `vi`."""
        return frozen(np.sqrt(self.vi))

    def subset(self, rows: npt.ArrayLike) -> EffectSizes:
        """Return a table of the chosen rows, in the order asked for.

        Parameters
        ----------
        rows : array_like
            A mask of `k` booleans, or row numbers from 0; a row may be taken more than once.

        Raises
        ------
        EffectError
            No row chosen, a mask of another length, a row number outside of the table.

        Examples
        --------
        >>> es = EffectSizes.of([0.1, 0.2, 0.3], [0.01, 0.01, 0.01], study=["A", "B", "C"])
        >>> es.subset(es.yi > 0.15).study
        ('B', 'C')
        >>> es.subset([2, 0]).study
        ('C', 'A')
        """
        index = _row_numbers(rows, self.k)

        def pick(values: FloatArray | None) -> FloatArray | None:
            return None if values is None else values[index]

        def pick_rows(frame: pd.DataFrame | None) -> pd.DataFrame | None:
            return None if frame is None else frame.iloc[index]

        return replace(
            self,
            yi=self.yi[index],
            vi=self.vi[index],
            study=tuple(self.study[i] for i in index),
            cluster=tuple(self.cluster[i] for i in index),
            n=_sizes_or_none(pick(self.n)),
            n1=_sizes_or_none(pick(self.n1)),
            n2=_sizes_or_none(pick(self.n2)),
            moderators=pick_rows(self.moderators),
            columns=pick_rows(self.columns),
        )

    def with_moderators(self, moderators: pd.DataFrame | Mapping[str, Any] | None) -> EffectSizes:
        """Return the table with other moderators, matched by row.

        Parameters
        ----------
        moderators : DataFrame or mapping of k rows, or None for none

        Raises
        ------
        EffectError
            Another number of rows, or an index that holds the study labels in another order.

        Examples
        --------
        >>> es = EffectSizes.of([0.1, 0.2], [0.01, 0.02]).with_moderators({"year": [1999, 2004]})
        >>> es.moderators["year"].tolist()
        [1999, 2004]
        """
        return replace(self, moderators=_frame("moderators", moderators, self.study))

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame of one row an effect.

        Columns: study, cluster (where it differs from study), measure, yi, vi, sei, the sizes
        that are known, then moderators and `columns`; a name that already stands is not repeated.
        """
        import pandas as pd

        parts: dict[str, Any] = {"study": list(self.study)}
        if self.cluster != self.study:
            parts["cluster"] = list(self.cluster)
        parts |= {"measure": self.measure.code, "yi": self.yi, "vi": self.vi, "sei": self.sei}
        parts |= {name: values for name in ("n", "n1", "n2") if (values := getattr(self, name)) is not None}
        for extra in (self.moderators, self.columns):
            if extra is not None:
                parts |= {str(name): extra[name] for name in extra.columns if str(name) not in parts}
        return pd.DataFrame(parts)

    def equals(self, other: object) -> bool:
        """Whether `other` is an effect table with the same rows, to the last bit, whatever was left out.

        Examples
        --------
        >>> a = EffectSizes.of([0.1], [0.01])
        >>> a.equals(EffectSizes.of([0.1], [0.01])), a.equals(EffectSizes.of([0.1], [0.02]))
        (True, False)
        """
        if not isinstance(other, EffectSizes):
            return False
        names = (f.name for f in fields(self) if f.name != "left_out")
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def __len__(self) -> int:
        return self.k

    def __repr__(self) -> str:
        low, high = f"{self.yi.min():.4g}", f"{self.yi.max():.4g}"
        parts = [self.measure.code, f"k={self.k}"]
        if (count := len(set(self.study))) != self.k:
            parts.append(f"studies={count}")
        parts.append(f"yi {low}" if low == high else f"yi {low} to {high}")
        if self.n is not None and not np.isnan(self.n).any():
            parts.append(f"n={self.n.sum():g}")
        if open_rows := sum(item.answers for item in self.left_out):
            parts.append(f"{open_rows} left out without an effect")
        return f"EffectSizes({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from html import escape

        table = self.to_frame().to_html(index=False, max_rows=20, border=0, float_format="{:.4g}".format)
        rows = "".join(f"<li>{escape(str(item))}</li>" for item in self.left_out if item.answers)
        told = f"<p>Left out, though they answer the question:</p><ul>{rows}</ul>" if rows else ""
        return f"<p>{escape(repr(self))}</p>{table}{told}"

    def __reduce__(self) -> tuple[Any, ...]:
        # by way of the constructor, so that what comes out of a pickle is frozen and checked too
        return EffectSizes, tuple(getattr(self, f.name) for f in fields(self))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    if hasattr(a, "equals") and hasattr(b, "equals"):
        return bool(a.equals(b))
    return type(a) is type(b) and bool(a == b)


def _sizes_or_none(values: FloatArray | None) -> FloatArray | None:
    return None if values is None or bool(np.isnan(values).all()) else values


def _sizes(name: str, values: Any, study: tuple[str, ...]) -> FloatArray | None:
    return None if values is None else _sizes_or_none(numbers(name, values, study, missing=None))


def _row_numbers(rows: npt.ArrayLike, k: int) -> npt.NDArray[np.intp]:
    array = np.atleast_1d(np.asarray(rows))
    if array.dtype == np.bool_:
        if array.shape != (k,):
            raise EffectError(
                f"a mask of shape {array.shape} cannot choose from {k} effects; give one value a row"
            )
        index = np.flatnonzero(array)
    elif array.size == 0:
        index = np.empty(0, dtype=np.intp)
    elif array.dtype.kind in "iu" and array.ndim == 1:
        outside = array[(array < -k) | (array >= k)]
        if outside.size:
            raise EffectError(f"row {int(outside[0])} is outside of a table with rows 0 to {k - 1}")
        index = array.astype(np.intp)
    else:
        raise EffectError("rows must be a mask of booleans or row numbers from 0")
    if index.size == 0:
        raise EffectError("the subset is empty: no row was chosen; a table needs at least one effect")
    return index


def _frame(name: str, value: Any, study: tuple[str, ...]) -> pd.DataFrame | None:
    if value is None:
        return None
    import pandas as pd

    if isinstance(value, pd.Series):
        value = value.to_frame()
    if not isinstance(value, (pd.DataFrame, Mapping)):
        raise EffectError(f"{name} must be a DataFrame or a mapping of columns, not {type(value).__name__}")
    try:
        frame = pd.DataFrame(value)
    except ValueError as error:  # columns of unequal length
        raise EffectError(f"{name} cannot be read as a table of {len(study)} rows: {error}") from error
    if len(frame) != len(study):
        raise EffectError(f"{name} has {len(frame)} rows for {len(study)} effects; give one a row")
    index = tuple(str(label) for label in frame.index)
    if index != study and sorted(index) == sorted(study):
        raise EffectError(
            f"the index of {name} has the studies in another order, {index[0]!r} and not {study[0]!r} first: "
            f"reorder it (such as {name}.loc[es.study]) or drop it with reset_index"
        )
    return frame


def _warn_of_standard_errors(table: EffectSizes) -> None:
    """Warn where reported variances of an SMD are what its standard errors should be."""
    n1, n2 = table.n1, table.n2
    if table.measure.code != "SMD" or n1 is None or n2 is None or np.isnan(n1 + n2).any():
        return
    expected = 1 / n1 + 1 / n2 + table.yi**2 / (2 * (n1 + n2))
    near_se = np.abs(table.vi / np.sqrt(expected) - 1) < (0.1 if table.k > 1 else 0.02)
    near_variance = np.abs(np.log(table.vi / expected)) < 0.5
    if bool(np.all(near_se & ~near_variance)):
        warnings.warn(
            f"vi of study {table.study[0]!r} is {table.vi[0]:.4g}, while {n1[0]:g} and {n2[0]:g} people give "
            f"a variance near {expected[0]:.4g} and a standard error near {np.sqrt(expected[0]):.4g}: "
            "these look like standard errors; vi takes variances (vi = se**2)",
            DataWarning,
            stacklevel=3,
        )
