#!/bin/sh
# The figures of docs/training.md: docs/figures/training.sh DATA OUTPUT
# DATA holds lfw/ and weights/. OUTPUT will hold embeddings, which are
# biometric data: delete it when they are no longer needed.
set -eu
data=$1 output=$2
here=$(dirname "$0")
export SERFIQ_PRECISION=float32 SERFIQ_PACKS_DIR="$output/packs"
mkdir -p -m 700 "$output"

import() {  # ImageNet's mean and standard deviation, in 8-bit units: what this network was trained with.
    serfiq packs import "$data/weights/mobilefacenet_ms1m.onnx" \
        --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375 "$@"
}
evaluate() {
    serfiq evaluate "$data/lfw/manifest.csv" "$output/$1" --root "$data/lfw/images" --test-subjects \
        --cache "$output/cache" --pack "$@"
}

# The head: at the 512 values, and at the 512×7×7 map in front of them.
import --name values --site /gdconv/depthwise/Conv_output_0
import --name map
for pack in values map; do
    serfiq train adapt-head "$pack" --images "$data/lfw/manifest.csv" --root "$data/lfw/images"
    evaluate "$pack-adapted"
done
evaluate map
python "$here/training_rates.py" "$data" "$SERFIQ_PACKS_DIR" > "$output/rates.txt"

# On top of embeddings: those of all photographs, once with subjects to learn from, once to be scored.
python "$here/training_embeddings.py" "$data" "$SERFIQ_PACKS_DIR" "$output"
serfiq train on-top "$output/on_top.safetensors" --embeddings "$output/train.parquet"
serfiq score-embeddings "$output/on_top.safetensors" "$output/on_top.csv" --embeddings "$output/test.parquet"
evaluate values --scores "$output/on_top.csv"
