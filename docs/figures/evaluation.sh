#!/bin/sh
# The figures of docs/evaluation.md: docs/figures/evaluation.sh DATA OUTPUT
# DATA holds lfw/, scores/ and weights/.
set -eu
data=$1 output=$2
here=$(dirname "$0")
export SERFIQ_PRECISION=float32 SERFIQ_PACKS_DIR="$output/packs"
# ImageNet's mean and standard deviation, in 8-bit units: what this network was trained with.
serfiq packs import "$data/weights/mobilefacenet_ms1m.onnx" --name mobilefacenet \
    --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375
evaluate() {
    pack=$1
    shift
    serfiq evaluate "$data/lfw/manifest.csv" "$output/$pack" --root "$data/lfw/images" \
        --scores "$data/scores/faceqnet_lfw.csv" --passes 100 --passes 10 --pack "$pack" \
        --face central --cache "$output/cache" "$@"
    python "$here/evaluation_tables.py" "$output/$pack/summary.json"
}
evaluate mobilefacenet
evaluate compact --test-subjects  # It has learnt from the others.
# Sites, rates and passes side by side; the norm, the score, and both together.
map=/conv2/conv2.2/Clip_output_0 values=/gdconv/depthwise/Conv_output_0
python "$here/evaluation_dropout.py" mobilefacenet "$data" "$output/cache" \
    --site "$map" --site "$values" --rate 0.05 --rate 0.1 --rate 0.2 --rate 0.4 --rate 0.6
python "$here/evaluation_norm.py" mobilefacenet "$data" "$output/cache" \
    --site "$map" --site "$values"
python "$here/evaluation_norm.py" compact "$data" "$output/cache"
