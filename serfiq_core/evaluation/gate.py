"""Conditions under which a run has failed: `relative20(sampled) > 0.8`.

The syntax is Python's, but nothing is executed: the expression is parsed, and only comparisons,
arithmetic, `and`, `or`, `not` and the figures below are understood.

    relativeN(method[, fmr])       relative area up to N % discarded
    paucN(method[, fmr])           partial area up to N % discarded
    fnmr(method, discard[, fmr])   FNMR with that share discarded
    halving(method[, fmr])         share discarded until FNMR is halved; infinite when it never is
    spearman(method)               of pair minimum and mated similarity

`fmr` is 1e-3 when left out, or the first asked for where that one was not. `relativeN` and
`halving` are not defined where no pair fails.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.edc import (
    Edc,
    fnmr_at_discard,
    halving_discard,
    partial_area,
    relative_area,
)
from serfiq_core.evaluation.figures import Evaluation

ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
AREA = re.compile(r"(pauc|relative)([1-9]\d?|100)")
AREAS = {"pauc": partial_area, "relative": relative_area}


Figure = Callable[[str, str, list[float]], float]
"""Name, method and further arguments → value."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition, and what came of it.

    `fmr`: of figures that name none. `true`: None where it could not be decided, and `why`.
    """

    condition: str
    fmr: float
    true: bool | None
    why: str | None = None


def decide_gates(conditions: Iterable[str], evaluation: Evaluation) -> tuple[Gate, ...]:
    """What comes of each condition; one that cannot be decided does not stop the others."""
    return tuple(_decide(condition, evaluation) for condition in conditions)


def _decide(condition: str, evaluation: Evaluation) -> Gate:
    try:
        return Gate(condition, evaluation.main_fmr, holds(condition, evaluation))
    except EvaluationError as error:
        return Gate(condition, evaluation.main_fmr, None, str(error))


def check(expression: str, methods: Collection[str], fmrs: Sequence[float]) -> None:
    """Refuse, before long work, what is no condition on the figures that will come of it.

    Raises:
        EvaluationError: it cannot be parsed, is a number, or names a figure, a method or an FMR
            that there will not be.
    """

    def some_value(name: str, method: str, arguments: list[float]) -> float:
        if method not in methods:
            raise EvaluationError(
                f"there is no method {method}; there are {', '.join(sorted(methods))}"
            )
        _, fmr = _asked(name, method, arguments)
        if fmr is not None and fmr not in fmrs:
            raise EvaluationError(f"FMR {fmr:g} is not evaluated; give it with --fmr")
        return 1.0

    try:
        _condition(expression, some_value)
    except ZeroDivisionError:
        pass  # the values were made up for this check; the real ones need not divide by 0
    except EvaluationError as error:
        raise EvaluationError(f"--fail-if {expression!r}: {error}") from error


def holds(expression: str, evaluation: Evaluation) -> bool:
    """Whether the condition is true of an evaluation.

    Raises:
        EvaluationError: it is no condition, or speaks of what was not evaluated or is not defined.
    """

    def figure(name: str, method: str, arguments: list[float]) -> float:
        return _figure(name, method, arguments, evaluation)

    try:
        return _condition(expression, figure)
    except ZeroDivisionError as error:
        raise EvaluationError(str(error)) from error


def _condition(expression: str, figure: Figure) -> bool:
    try:
        found = _value(_parse(expression), figure)
    except RecursionError as error:
        raise EvaluationError("it is nested too deep") from error
    if not isinstance(found, bool):
        raise EvaluationError("it is a number, and must compare two")
    return found


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        raise EvaluationError(f"it cannot be parsed: {error}") from error


def _value(node: ast.expr, figure: Figure) -> float | bool:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, figure)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, figure)
        case ast.BoolOp(op=op, values=values):
            # No short-circuit: an undefined figure is always reported.
            found = [_truth(each, figure) for each in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            value: float = ARITHMETIC[type(op)](_number(left, figure), _number(right, figure))
            return value
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            return _compare(type(op), _number(left, figure), _number(right, figure))
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=method), *rest], keywords=[]):
            return figure(name, method, [_number(each, figure) for each in rest])
    raise EvaluationError(f"{ast.unparse(node)} is not understood")


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise EvaluationError("a number in it is too large") from error


def _number(node: ast.expr, figure: Figure) -> float:
    found = _value(node, figure)
    if isinstance(found, bool):
        raise EvaluationError(f"{ast.unparse(node)} is no number")
    return found


def _truth(node: ast.expr, figure: Figure) -> bool:
    found = _value(node, figure)
    if not isinstance(found, bool):
        raise EvaluationError(f"{ast.unparse(node)} is a number, and must compare two")
    return found


def _compare(op: type[ast.AST], left: float, right: float) -> bool:
    # Nan compares as false: a gate would stay open because nothing is known.
    if left != left or right != right:
        raise EvaluationError("a figure in it is not defined on these pairs")
    return COMPARISONS[op](left, right)


def _figure(name: str, method: str, arguments: list[float], evaluation: Evaluation) -> float:
    compute, fmr = _asked(name, method, arguments)
    if compute is None:
        evaluation.of(method, evaluation.points[0].fmr)
        return evaluation.spearman[method]
    return float(compute(evaluation.of(method, evaluation.main_fmr if fmr is None else fmr).curve))


def _asked(
    name: str, method: str, arguments: Sequence[float]
) -> tuple[Callable[[Edc], Any] | None, float | None]:
    """What is computed of a curve, None for `spearman`; and the FMR, None where it is left out."""
    rest = list(arguments)
    area = AREA.fullmatch(name)
    if name == "spearman" and not rest:
        return None, None
    fmr = rest.pop() if len(rest) == (2 if name == "fnmr" else 1) else None
    if name == "fnmr" and len(rest) == 1 and 0 <= rest[0] <= 1:
        return partial(fnmr_at_discard, discard=rest[0]), fmr
    if name == "halving" and not rest:
        return halving_discard, fmr
    if area and not rest:
        return partial(AREAS[area[1]], limit=int(area[2]) / 100), fmr
    given = ", ".join([method, *(f"{each:g}" for each in arguments)])
    raise EvaluationError(f"{name}({given}) is not understood")
