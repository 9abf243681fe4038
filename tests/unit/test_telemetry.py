"""No library reports to its maker."""

import subprocess
import sys


def test_onnxruntime_is_told_to_stay_silent_before_it_is_imported():
    program = (
        "import os, sys, serfiq_core;"
        "assert 'onnxruntime' not in sys.modules;"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "1"
