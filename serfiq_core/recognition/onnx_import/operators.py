"""The table of all operators known, and the refusal of those that are not."""

from collections.abc import Iterable

from serfiq_core.errors import UnsupportedOperatorError
from serfiq_core.recognition.onnx_import import arithmetic, layers, shapes
from serfiq_core.recognition.onnx_import.graph import Node

OPERATORS = {**arithmetic.ENTRIES, **layers.ENTRIES, **shapes.ENTRIES}


def refuse_unknown(nodes: Iterable[Node]) -> None:
    """Check that every operator is in the table.

    Raises:
        UnsupportedOperatorError: some are not; names all of them, with the first node of each.
    """
    unknown: dict[str, Node] = {}
    for node in nodes:
        if node.operator not in OPERATORS:
            unknown.setdefault(node.operator, node)
    if unknown:
        listed = ", ".join(str(node) for node in unknown.values())
        raise UnsupportedOperatorError(f"operators that cannot be imported: {listed}")
