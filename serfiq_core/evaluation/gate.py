"""Conditions under which a run has failed: `pauc20(sampled) > 0.8*pauc20(random)`.

The syntax is Python's, but nothing is executed: the expression is parsed, and only comparisons,
arithmetic, `and`, `or`, `not` and the figures below are understood.

    paucN(method[, fmr])           partial area up to N % discarded
    fnmr(method, discard[, fmr])   FNMR with that share discarded
    halving(method[, fmr])         share discarded until FNMR is halved; infinite when it never is
    spearman(method)               of pair minimum and mated similarity

`fmr` is 1e-3 when left out, or the first evaluated where that one was not.
"""

import ast
import operator
import re
from collections.abc import Callable, Collection
from typing import Any

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.edc import fnmr_at_discard, halving_discard, partial_area
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
AREA = re.compile(r"pauc([1-9]\d?|100)")


def check(expression: str, methods: Collection[str]) -> None:
    """Refuse what cannot be parsed or names no method, before long work for it.

    Raises:
        EvaluationError: it is so.
    """
    for node in ast.walk(_parse(expression)):
        match node:
            case ast.Call(args=[ast.Name(id=method), *_]) if method not in methods:
                names = ", ".join(sorted(methods))
                raise EvaluationError(
                    f"--fail-if {expression!r}: there is no method {method}; there are {names}"
                )


def holds(expression: str, evaluation: Evaluation) -> bool:
    """Whether the condition is true of an evaluation.

    Raises:
        EvaluationError: it is no condition, or speaks of what was not evaluated.
    """
    try:
        found = _value(_parse(expression), evaluation)
    except (EvaluationError, ZeroDivisionError, TypeError) as error:
        raise EvaluationError(f"--fail-if {expression!r}: {error}") from error
    if not isinstance(found, bool):
        raise EvaluationError(f"--fail-if {expression!r} is a number; it must compare two")
    return found


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise EvaluationError(f"--fail-if {expression!r} cannot be parsed: {error}") from error


def _value(node: ast.expr, evaluation: Evaluation) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, evaluation)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, evaluation)
        case ast.BoolOp(op=op, values=values):
            found = [_value(each, evaluation) for each in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_value(left, evaluation), _value(right, evaluation))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            return _compare(type(op), _value(left, evaluation), _value(right, evaluation))
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=method), *rest], keywords=[]):
            return _figure(name, method, [_value(each, evaluation) for each in rest], evaluation)
    raise EvaluationError(f"{ast.unparse(node)} is not understood")


def _compare(op: type[ast.AST], left: Any, right: Any) -> bool:
    # Nan compares as false: a gate would stay open because nothing is known.
    if left != left or right != right:
        raise EvaluationError("a figure in it is not defined on these pairs")
    return COMPARISONS[op](left, right)


def _figure(name: str, method: str, arguments: list[Any], evaluation: Evaluation) -> float:
    if name == "spearman" and not arguments:
        evaluation.of(method, evaluation.main_fmr)
        return evaluation.spearman[method]
    discard = arguments.pop(0) if name == "fnmr" and arguments else None
    fmr = arguments.pop(0) if arguments else evaluation.main_fmr
    curve = evaluation.of(method, fmr).curve
    if name == "fnmr" and discard is not None and 0 <= discard <= 1 and not arguments:
        return float(fnmr_at_discard(curve, discard))
    if name == "halving" and not arguments:
        return halving_discard(curve)
    if (area := AREA.fullmatch(name)) and not arguments:
        return partial_area(curve, int(area[1]) / 100)
    raise EvaluationError(f"{name}({method}, …) is not understood")
