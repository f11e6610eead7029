#!/usr/bin/env bash
# What asking and training cost on one H100 or H200, in at most ten minutes, into results/gpu.json:
#
#     benchmarks/gpu.sh                     # LLaVA-1.5-7B's shapes in bfloat16, random weights; `make install` first where .venv is missing
#     benchmarks/gpu.sh --small             # the same script on any machine, smallest shapes, into results/runs/gpu_small.json
#     benchmarks/gpu.sh --parts asking      # one part again, into the same file (names: benchmarks/gpu.sh --help)
#
# PYTHON=PATH   a python that has the packages, instead of .venv's.
# WHEELS=FOLDER  for a machine without a network: wheels of what PYTHON lacks, installed into a temporary folder. Where it has torch, peft,
#     accelerate, pyarrow and pandas, these are transformers, tokenizers, trl, datasets, dill, multiprocess, pytz, lmms-eval, lm-eval, loguru,
#     pydantic, pydantic-core, annotated-types, typing-inspection, platformdirs, filelock, httpx2, httpcore2, truststore and sniffio (35 MB),
#     in the versions of requirements.lock: pip download --no-deps --only-binary=:all: --python-version 3.12 -d FOLDER NAME==VERSION …
# TMPDIR=FOLDER  where the model is written (14 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
    make --no-print-directory install
    PYTHON=.venv/bin/python
fi
if [ -n "${WHEELS:-}" ]; then
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    # dill, which datasets hashes with, knows by this name that a module is an installed one.
    site=$made/site-packages
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
fi
export PYTHONPATH="$PWD${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
# The script's own limits end it before; this one holds whatever happens.
timeout --kill-after=10 590 "$PYTHON" benchmarks/gpu.py "$@"
