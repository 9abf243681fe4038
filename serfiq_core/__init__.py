"""The method: from the bytes of a capture to a score and a decision. No HTTP in here."""

import os

# onnxruntime reports its use to its maker unless told otherwise before it is first imported.
# Nobody's face photographs are anybody's usage statistics.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
