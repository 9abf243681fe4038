#!/bin/sh
# How `compact` and the figures of docs/compact.md are made: docs/figures/compact.sh DATA OUTPUT
# DATA holds lfw/ and weights/; OUTPUT will hold faces and embeddings, which are biometric data.
# Run again after an interruption, it goes on where it was.
set -eu
data=$1 output=$2
here=$(dirname "$0")
export SERFIQ_PACKS_DIR="$output/packs"
lfw="$data/lfw"
[ -d "$output/packs/teacher" ] || serfiq packs import "$data/weights/mobilefacenet_ms1m.onnx" --name teacher \
    --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375
[ -d "$output/packs/student" ] || serfiq train compact "$lfw/manifest.csv" student --root "$lfw/images" \
    --teacher teacher --folder "$output/training" --version 6 --licence Apache-2.0 \
    --licence-source "LICENSE of this project"

# What follows sees only people that the student has not seen, and does not depend on the machine's precision.
export SERFIQ_PRECISION=float32
test="$output/lfw-test-subjects"
python - "$lfw/images" "$test" <<'EOF'
import sys
from pathlib import Path

from serfiq_core.evaluation.subject_split import is_test_subject

images, test = map(Path, sys.argv[1:])
for photograph in images.resolve().glob("*/*.jpg"):
    link = test / photograph.relative_to(images.resolve())
    if is_test_subject(link.parent.name) and not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photograph)
EOF
serfiq packs check student --faces "$test"
serfiq calibrate "$test" --pack student --id compact-lfw-8
# 294 of these people have two photographs that can be used: too few for the default of 0.02.
serfiq same-person "$test" --pack student --false-alarms 0.04 --write
python "$here/compact_limits.py" student teacher "$data" > "$output/compact_limits.csv"
serfiq evaluate "$lfw/manifest.csv" "$output/evaluation" --root "$lfw/images" --test-subjects --face central \
    --pack student --passes 100 --passes 10 --cache "$output/cache" --scores "$output/compact_limits.csv"
python "$here/compact.py" student "$data"
