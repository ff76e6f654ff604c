#!/usr/bin/env bash
# Dataset.to_parquet of the library `datasets` writes the path of an image in place of its bytes when
# the image was named by its path: the file holds no image. `embed_table_storage` puts the bytes in.
#
# Seen with datasets 5.2.0:
#   to_parquet: bytes None, path a.png   after embed_table_storage: bytes of PNG
#
# Ends with 0 while this is so, and with 1 once it is otherwise. Needs python3 with venv, and the
# package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" HF_DATASETS_DISABLE_PROGRESS_BARS=1 \
  "$work/venv/bin/python" - <<'PY'
import sys

import datasets
import pyarrow.parquet
from datasets.table import embed_table_storage
from PIL import Image


def written(dataset, name):
    dataset.to_parquet(name)
    return pyarrow.parquet.read_table(name).column("image").to_pylist()[0]


Image.new("L", (4, 4)).save("a.png")
named = datasets.Dataset.from_dict({"image": ["a.png"]}).cast_column("image", datasets.Image())
plain = written(named, "plain.parquet")
whole = written(named.with_format("arrow").map(embed_table_storage, batched=True), "whole.parquet")
png = (whole["bytes"] or b"").startswith(b"\x89PNG")
print(f"to_parquet: bytes {plain['bytes']}, path {plain['path']}   "
      f"after embed_table_storage: bytes {'of PNG' if png else whole['bytes']}")
if plain["bytes"] is not None or not png:
    sys.exit("this is no longer so")
PY
