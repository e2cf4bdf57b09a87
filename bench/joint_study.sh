#!/bin/bash
# The joint model, one change at a time (docs/model-study.md): trained, 1,000 samples, scored.  In a checkout of commit
# 477a5ef with bench/joint_changes.patch applied, installed, beside the asymmetric units of MP-20:
#
#   bench/joint_study.sh UNITS OUTPUT [CHANGES [SECTION.KEY=VALUE…]]
#   bench/joint_study.sh results-cpu/asymmetric_units joint/legal legal
#   bench/joint_study.sh results-cpu/asymmetric_units joint/mean "" model.aggregation=mean
#
# CHANGES: names of the patch, joined by commas; settings replace those of bench/joint.yaml.
set -euo pipefail
units=$1 output=$2
export JOINT=${3:-} TRAIN_NPZ=$units/train.npz OMP_NUM_THREADS=1
mkdir -p "$output"
python - "$(dirname "$0")/joint.yaml" "$output/config.yaml" "${@:4}" <<'PYTHON'
import sys

import yaml

with open(sys.argv[1]) as file:
    config = yaml.safe_load(file)
for change in sys.argv[3:]:
    key, value = change.split("=")
    section, name = key.split(".")
    config[section][name] = yaml.safe_load(value)
with open(sys.argv[2], "w") as file:
    yaml.safe_dump(config, file)
PYTHON
symmcd train "$units/train.npz" "$units/val.npz" "$output" --config "$output/config.yaml"
symmcd sample "$output/denoiser.safetensors" "$output/samples.npz" --config "$output/config.yaml"
symmcd replicate "$output/samples.npz" --output-dir "$output/crystals"
symmcd score "$output/crystals/crystals.extxyz" "$output/scores.csv"
symmcd fingerprint "$output/crystals/units.npz" "$output/fingerprints.npz"
test -e "$output/../test.npz" || symmcd fingerprint "$units/test.npz" "$output/../test.npz"
symmcd summarise "$output/scores.csv" --units "$output/crystals/units.npz" --train "$units/train.npz" \
    --reference "$units/test.npz" --fingerprints "$output/fingerprints.npz" --reference-fingerprints "$output/../test.npz" \
    --output-dir "$output/metrics" --set score.prototype_sample=0
