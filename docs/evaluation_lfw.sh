#!/bin/sh
# The figures of docs/evaluation.md: docs/evaluation_lfw.sh DATA OUTPUT
# DATA holds lfw/, scores/ and weights/; about ten minutes on two cores.
set -eu
data=$1 output=$2
export SERFIQ_PACKS_DIR="$output/packs"
# ImageNet's mean and standard deviation, in 8-bit units: what this network was trained with.
serfiq packs import "$data/weights/mobilefacenet_ms1m.onnx" --name mobilefacenet \
    --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375
for pack in compact mobilefacenet; do
    serfiq evaluate "$data/lfw/manifest.csv" "$output/$pack" --root "$data/lfw/images" \
        --scores "$data/scores/faceqnet_lfw.csv" --passes 100 --passes 10 --pack "$pack" \
        --cache "$output/cache"
done
