#!/usr/bin/env bash
# transformers 5 rebuilds the tokenizer of a BERT from the flags of tokenizer_config.json and leaves
# the normalizer of tokenizer.json unread: without `do_lower_case` there, a tokenizer.json that tells
# "Red" from "red" is loaded as one that does not. Another reader of the same tokenizer.json gets
# other tokens, and so other embeddings.
#
# Seen with transformers 5.24.0 and tokenizers 0.23.3:
#   tokenizer.json itself: [2, 6, 3]   as transformers loads it: [2, 5, 3]
#
# Ends with 0 while this is so, and with 1 once it is otherwise. Needs python3 with venv, and the
# package registry; no torch.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  transformers==5.24.0 tokenizers==0.23.3
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "Red"]
folder = Path("model")
BertTokenizer({word: at for at, word in enumerate(words)}, do_lower_case=False).save_pretrained(folder)
(folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
settings = json.loads((folder / "tokenizer_config.json").read_text())
del settings["do_lower_case"]
(folder / "tokenizer_config.json").write_text(json.dumps(settings))
itself = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("Red").ids
loaded = AutoTokenizer.from_pretrained(folder)("Red")["input_ids"]
print(f"tokenizer.json itself: {itself}   as transformers loads it: {loaded}")
if (itself, loaded) != ([2, 6, 3], [2, 5, 3]):
    sys.exit("this is no longer so")
PY
