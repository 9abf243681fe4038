"""ONNX recognisers in torch: read, planned, cut at the dropout site, proven against onnxruntime.

    graph      the file as plain values
    operation  what an operator's table entry is given
    arithmetic, layers, shapes → operators    the table
    plan       constants folded, batch size set free
    network    a torch module of a part of the plan
    site       where dropout applies
    imported   import_onnx
    verify     the proof

Nothing here runs code from a file, opens a file that a model names, or writes anything.
"""

from serfiq_core.recognition.onnx_import.imported import ImportedNetwork, import_onnx
from serfiq_core.recognition.onnx_import.verify import (
    LARGEST_DIFFERENCE,
    random_inputs,
    verify_against_onnxruntime,
)

__all__ = [
    "LARGEST_DIFFERENCE",
    "ImportedNetwork",
    "import_onnx",
    "random_inputs",
    "verify_against_onnxruntime",
]
