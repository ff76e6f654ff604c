"""Folders that sentence-transformers saved embed as that library does, or are refused by name.

`published/make.py` made them, with the embeddings that the library itself gave.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.encoding import Encoder, as_texts
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training import EncoderSpec
from lockstep_core.protocol.training.encoder import BaseSpec, Overlong
from lockstep_trainer.__main__ import main
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import build_network
from lockstep_trainer.networks.restoring import restore
from lockstep_trainer.networks.transformer import published_transformer
from lockstep_trainer.pretrained.base import NetworkError, open_base
from lockstep_trainer.pretrained.hugging_face import open_folder
from lockstep_trainer.pretrained.published_keys import (
    KEYS,
    MODULES,
    NO_EFFECT,
    REFUSED_FILES,
    FolderRefused,
)

pytestmark = pytest.mark.unit

FOLDERS = Path(__file__).parent / "published"
MADE = json.loads((FOLDERS / "embeddings.json").read_text())
TEXTS = as_texts(MADE["texts"])
CPU = torch.device("cpu")

HONOURED = [
    ("mean", None, ""),
    ("first_token_dense", None, ""),
    ("long_head", None, ""),
    ("lower_case", None, ""),
    ("tokenizer_lower_case", None, ""),
    ("cased", None, ""),
    ("generic_tokenizer", None, ""),
    ("default_prompt", None, ""),
    ("default_prompt", "search", "search"),
    ("prompts", "", ""),
    ("prompts", "query", "query"),
    ("prompts", "query", "encode_query"),
    ("prompts", "document", "document"),
    ("mean_sqrt", None, ""),
    ("half", None, ""),
    ("before_5_4", None, ""),
]
REFUSED = [
    ("dot", r"config_sentence_transformers\.json: `similarity_fn_name` is 'dot'"),
    ("largest", r"1_Pooling/config\.json: `pooling_mode`: the tokens are pooled by max"),
    ("prompts", r"`prompts` has document, query and no default_prompt_name.*--prompt NAME"),
]


def test_every_folder_is_tried():
    tried = {name for name, *_ in HONOURED} | {name for name, _ in REFUSED}
    assert tried == set(MADE["embeddings"]) == {p.name for p in FOLDERS.iterdir() if p.is_dir()}
    assert MADE["versions"]["sentence-transformers"] == "6.2.0"


@pytest.mark.parametrize(("name", "prompt", "embedded_as"), HONOURED)
def test_a_folder_embeds_as_its_own_library(name, prompt, embedded_as):
    published = open_folder(FOLDERS / name, overlong=Overlong.TRUNCATE, prompt=prompt)
    check(embed(published_transformer(published), TEXTS, device=CPU), name, embedded_as)


def check(found: Any, name: str, embedded_as: str = "") -> None:
    wanted = np.array(MADE["embeddings"][name][embedded_as])
    assert found.shape == wanted.shape
    cosine = (found * wanted).sum(axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosine.min() >= 0.9999, cosine


@pytest.mark.parametrize("name", ["long_head", "lower_case", "default_prompt", "before_5_4"])
def test_an_exported_folder_embeds_as_its_own_library(name, tmp_path, capsys):
    given = ["--folder", str(FOLDERS / name), "--overlong", "Truncate"]
    assert main(["export", "--store", f"file://{tmp_path}", *given]) == 0
    digest = json.loads(capsys.readouterr().out)["artifactDigest"]
    store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{tmp_path}"))
    files = tmp_path / "files"
    manifest = store.fetch(digest, files, ModelManifest)
    found = Encoder.load(files, manifest).encode(TEXTS)
    check(found, name)
    # The artifact is a base that gives the same, and can be exported again.
    source = BaseSpec(uri=f"file://{tmp_path}", digest=digest)
    spec = EncoderSpec(kind="Transformer", dimension=manifest.dimension, base=source)
    base = build_network(spec, (), seed=0, base=open_base(files, manifest))
    again = restore(files, manifest, source=source)
    for network in (base, again):
        assert np.abs(embed(network, TEXTS, device=CPU) - found).max() < 1e-5


@pytest.mark.parametrize(("name", "said"), REFUSED)
def test_a_folder_that_cannot_be_honoured_is_refused_with_exit_code_3(name, said, tmp_path, capsys):
    assert main(["export", "--store", f"file://{tmp_path}", "--folder", str(FOLDERS / name)]) == 3
    told = capsys.readouterr().err
    assert told.startswith("PublishedModelRefused: ")
    assert re.search(said, told), told
    assert not (tmp_path / "manifests").exists()


def changed(folder: Path, file: str, **fields: Any) -> Path:
    """A copy of `mean`, or of the honoured folder that has such a file, with other fields in it."""
    holder = next(FOLDERS / name for name, *_ in HONOURED if (FOLDERS / name / file).is_file())
    copytree(holder, folder)
    content = json.loads((folder / file).read_text())
    if isinstance(content, list):
        content[-1] |= fields
    else:
        content |= fields
    (folder / file).write_text(json.dumps(content))
    return folder


FILES = {
    "Pooling": "1_Pooling/config.json",
    "Dense": "2_Dense/config.json",
    "Normalize": "2_Normalize/config.json",
    "LayerNorm": "3_LayerNorm/config.json",
    "Dropout": "2_Dropout/config.json",
}


@pytest.mark.parametrize("rules", [name for name in KEYS if name != "config.json"])
def test_a_key_that_is_not_known_is_refused_by_name(rules, tmp_path):
    file = FILES.get(rules, rules)
    folder = changed(tmp_path / "copy", file, scale_by=2)
    with pytest.raises(FolderRefused, match=rf"{file}: `scale_by` is not known"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("rules", "key"),
    [(rules, key) for rules, keys in KEYS.items() for key in keys if keys[key].values is not None],
)
def test_a_key_with_a_value_that_changes_embeddings_is_refused_by_name(rules, key, tmp_path):
    file = FILES.get(rules, rules)
    folder = changed(tmp_path / "copy", file, **{key: "another"})
    with pytest.raises(FolderRefused, match=rf"{file}: `{key}` is 'another'.*not honoured: .+"):
        open_folder(folder)


@pytest.mark.parametrize("kind", [name for name, why in MODULES.items() if why] + ["Anything"])
def test_a_module_that_is_not_built_is_refused_by_name(kind, tmp_path):
    kinds = f"sentence_transformers.models.{kind}"
    folder = changed(tmp_path / "copy", "modules.json", type=kinds)
    with pytest.raises(FolderRefused, match=rf"modules\.json: {kind} is not"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("file", "fields", "said"),
    [
        ("modules.json", {"type": "custom_st.Transformer"}, "custom_st.Transformer.*is not run"),
        ("modules.json", {"path": "../other"}, "leaves the folder"),
        ("modules.json", {"path": "/etc"}, "leaves the folder"),
        ("modules.json", {"type": "sentence_transformers.models.Pooling"}, "one Pooling"),
        ("2_Dense/config.json", {"activation_function": "my.Act"}, "`activation_function`.*Tanh"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.ELU"}, "`activation_function`"),
        ("2_Dense/config.json", {"in_features": 9}, "takes 9 numbers, but is given 8"),
        ("2_Dense/config.json", {"in_features": 0}, "in_features"),
        ("2_Dense/config.json", {"out_features": 7}, "does not hold the weights of its Dense"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "pooled by cls, mean"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "manhattan"}, "'manhattan'"),
        ("config_sentence_transformers.json", {"default_prompt_name": "x"}, "'x', but `prompts`"),
        ("config_sentence_transformers.json", {"prompts": ["x"]}, "no object of texts"),
        ("tokenizer_config.json", {"tokenizer_class": "MPNetTokenizer"}, "`tokenizer_class` is"),
        ("tokenizer_config.json", {"do_lower_case": "yes"}, "do_lower_case is 'yes'"),
        ("tokenizer_config.json", {"unk_token": "[X]"}, r"model\.unk_token.*PreTrainedTokenizerF"),
        ("tokenizer_config.json", {"cls_token": "[MASK]"}, r"`post_processor` is \[2, 3\]"),
        ("tokenizer_config.json", {"extra_special_tokens": ["<a>"]}, "adds '<a>' otherwise"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"2": {"content": "[CLS]", "special": False}}},
            r"`added_tokens_decoder` adds '\[CLS\]' otherwise",
        ),
        ("tokenizer_config.json", {"model_max_length": "many"}, "model_max_length is 'many'"),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}, "decoder holds no tokens"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1": "x"}}, "decoder holds no tokens"),
        ("tokenizer_config.json", {"extra_special_tokens": 3}, "is 3, not a list of tokens"),
        ("config_sentence_transformers.json", {"default_prompt_name": []}, "not a name"),
        ("config.json", {"max_position_embeddings": -1}, "max_?[lL]ength"),
        ("sentence_bert_config.json", {"do_lower_case": 1}, "do_lower_case is 1"),
        ("config.json", {"num_attention_heads": 3}, "no multiple of num_attention_heads 3"),
        ("config.json", {"is_decoder": True}, "`is_decoder` is True"),
    ],
)
def test_what_is_said_otherwise_is_refused(file, fields, said, tmp_path):
    folder = changed(tmp_path / "copy", file, **fields)
    with pytest.raises(NetworkError, match=said):
        published_transformer(open_folder(folder))


def test_files_that_would_be_left_out_are_refused(tmp_path):
    copytree(FOLDERS / "first_token_dense", tmp_path / "pickled")
    (tmp_path / "pickled/2_Dense/model.safetensors").rename(
        tmp_path / "pickled/2_Dense/pytorch_model.bin"
    )
    with pytest.raises(FolderRefused, match=r"2_Dense has no model\.safetensors: pickled"):
        open_folder(tmp_path / "pickled")
    copytree(FOLDERS / "mean", tmp_path / "adapted")
    (tmp_path / "adapted/adapter_config.json").write_text("{}")
    with pytest.raises(FolderRefused, match=r"has adapter_config\.json, which is not honoured"):
        open_folder(tmp_path / "adapted")
    copytree(FOLDERS / "first_token_dense", tmp_path / "unordered")
    (tmp_path / "unordered/modules.json").unlink()
    with pytest.raises(FolderRefused, match=r"2_Dense.*but no modules\.json"):
        open_folder(tmp_path / "unordered")


def test_a_prompt_is_refused_where_it_would_be_read_otherwise(tmp_path):
    name = "config_sentence_transformers.json"
    told = {"prompts": {"a": "[SEP] "}, "default_prompt_name": "a"}
    with pytest.raises(FolderRefused, match="holds a special token"):
        open_folder(changed(tmp_path / "marks", name, **told))
    told = {"prompts": {"a": "query: "}, "default_prompt_name": "a"}
    folder = changed(tmp_path / "left_out", name, **told)
    pooling = folder / "1_Pooling/config.json"
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"include_prompt": False}))
    with pytest.raises(FolderRefused, match="`include_prompt` is false"):
        open_folder(folder)
    assert open_folder(folder, prompt="").text.prompt is None


def test_two_prompts_of_which_one_is_the_default_are_told(tmp_path):
    name = "config_sentence_transformers.json"
    told = {"prompts": {"a": "query: ", "b": "passage: "}, "default_prompt_name": "a"}
    folder = changed(tmp_path / "copy", name, **told)
    with pytest.raises(FolderRefused, match=r"has a, b and default_prompt_name 'a'.*--prompt"):
        open_folder(folder)
    assert open_folder(folder, prompt="b").text.prompt == "passage: "
    with pytest.raises(NetworkError, match=r"--prompt is 'c', but .* has a, b"):
        open_folder(folder, prompt="c")


def test_the_length_is_that_of_the_first_file_that_says_one(tmp_path):
    assert open_folder(FOLDERS / "mean").text.max_length == 24
    assert open_folder(FOLDERS / "before_5_4").text.max_length == 12
    endless = changed(tmp_path / "copy", "tokenizer_config.json", model_max_length=1e30)
    assert open_folder(endless).text.max_length == 24
    assert open_folder(endless, max_length=7).text.max_length == 7
    with pytest.raises(NetworkError, match="--max-length is 25, but the weights know 24"):
        open_folder(endless, max_length=25)


def test_short_texts_are_proved_with_sentences_that_fit(tmp_path, capsys):
    """A limit below the length of the program's own sample sentences is no reason to refuse."""
    given = ["export", "--store", f"file://{tmp_path}", "--folder", str(FOLDERS / "mean")]
    assert main([*given, "--max-length", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["parity"]["items"] >= 2
    assert main([*given, "--max-length", "2"]) == 2
    assert "`maxLength` is 2" in capsys.readouterr().err


def test_a_head_is_kept_when_a_training_asks_for_another_width(tmp_path):
    published = open_folder(FOLDERS / "first_token_dense")
    spec = EncoderSpec(
        kind="Transformer",
        dimension=4,
        base=BaseSpec(uri="file:///store", digest=f"sha256:{'0' * 64}"),
    )
    network = build_network(spec, (), seed=0, base=published)
    names = set(network.state_dict())
    assert {"head.0.linear.weight", "projection.weight"} <= names
    assert embed(network, TEXTS[:3], device=CPU).shape == (3, 4)


def test_the_page_names_what_is_honoured_and_what_is_refused():
    page = (Path(__file__).parents[3] / "docs/encoders.md").read_text()
    named = {
        key
        for keys in KEYS.values()
        for key, rule in keys.items()
        if rule is not NO_EFFECT and not key.endswith("_token") and "pooling_mode_" not in key
    }
    lists = {"added_tokens_decoder", "additional_special_tokens", "extra_special_tokens", "max_len"}
    for key in (named - lists) | {*REFUSED_FILES}:
        assert f"`{key}`" in page, key
    for kind in (name for name, why in MODULES.items() if why is None):
        assert kind in page, kind
