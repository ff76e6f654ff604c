"""Makes the folders beside it and `embeddings.json`: tiny models with random weights, saved and
embedded by sentence-transformers itself, which the tests therefore need not install.

Run in an environment of its own, with an empty folder to write to:

    pip install sentence-transformers==6.2.0 transformers==5.24.0
    python tests/unit/trainer/published/make.py /tmp/published

Then copy what it wrote here. `embeddings.json` says which versions made it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedTokenizerFast

WIDTH = 8
WORDS = (
    "red green blue boot hat Red Boot straße strasse cafe café query passage : task ##s un ##til"
)
TEXTS = (
    "red boot",
    "Red Boot",
    "blue hat",
    "café",
    "Café straße",
    "boots until hats",
    "green green blue",
    "red",
    "query: red boot",
    "boot red",
    "unknown words of blue hats",
    "red green blue boot hat red green blue boot hat red green blue boot hat red green blue hat",
)


def bert(**fields: Any) -> BertModel:
    """Weights large enough for each token, and each place, to change the embedding."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 40, "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 24,
    }  # fmt: skip
    model = BertModel(BertConfig(**sizes | fields), add_pooling_layer=False)
    for name, weight in model.named_parameters():
        if "LayerNorm" in name:
            weight.data += torch.randn_like(weight) * 0.3
        else:
            weight.data = torch.randn_like(weight) * 0.5
    return model


def tokenizer(*, lower: bool = True, **fields: Any) -> BertTokenizer:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {word: at for at, word in enumerate([*marks, *WORDS.split()])}
    return BertTokenizer(vocab, do_lower_case=lower, **fields)


def multilingual() -> PreTrainedTokenizerFast:
    """`<s>` is token 0 and padding token 1, as in models with the vocabulary of XLM-RoBERTa."""
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = [(word, -float(at)) for at, word in enumerate([*marks, "▁", *_pieces()])]
    made = Tokenizer(models.Unigram(vocab, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", **names
    )


def _pieces() -> list[str]:
    return [f"▁{word}" for word in WORDS.split()[:12]]


def transformer(folder: Path, *, tokens: Any = None, weights: Any = None) -> Transformer:
    (weights or bert()).save_pretrained(folder)
    (tokens or tokenizer()).save_pretrained(folder)
    return Transformer(str(folder))


def dense(given: int, asked: int, *, activation: Any, **fields: Any) -> Dense:
    made = Dense(given, asked, activation_function=activation, **fields)
    for weight in made.parameters():
        weight.data = torch.randn_like(weight)
    return made


def layer_norm() -> LayerNorm:
    made = LayerNorm(WIDTH)
    for weight in made.parameters():
        weight.data = torch.randn_like(weight)
    return made


def model(parts: list[Any], **fields: Any) -> SentenceTransformer:
    return SentenceTransformer(modules=parts, device="cpu", local_files_only=True, **fields)


Case = Callable[[Path, Path], None]
"""Saves one model into the second folder; the first is for what it is made of."""


def mean(work: Path, target: Path) -> None:
    model([transformer(work), Pooling(WIDTH), Normalize()]).save(str(target))


def first_token_dense(work: Path, target: Path) -> None:
    """As LaBSE is."""
    head = dense(WIDTH, WIDTH, activation=torch.nn.Tanh())
    model([transformer(work), Pooling(WIDTH, "cls"), head, Normalize()]).save(str(target))


def long_head(work: Path, target: Path) -> None:
    head = [
        Dropout(0.4),
        layer_norm(),
        dense(WIDTH, 6, activation=torch.nn.ReLU(), use_residual=True),
        Normalize(),
        dense(6, 5, activation=torch.nn.GELU(), bias=False),
        dense(5, 5, activation=None, use_residual=True),
    ]
    model([transformer(work), Pooling(WIDTH), *head]).save(str(target))


def lower_case(work: Path, target: Path) -> None:
    """`do_lower_case` of sentence_bert_config.json over a tokenizer that tells cases apart."""
    tokens = tokenizer(lower=False)
    model([transformer(work, tokens=tokens), Pooling(WIDTH)]).save(str(target))
    change(target / "sentence_bert_config.json", do_lower_case=True)


def tokenizer_lower_case(work: Path, target: Path) -> None:
    """`do_lower_case` of tokenizer_config.json, against the normalizer of tokenizer.json."""
    tokens = tokenizer(lower=False)
    model([transformer(work, tokens=tokens), Pooling(WIDTH)]).save(str(target))
    change(target / "tokenizer_config.json", do_lower_case=True, strip_accents=False)


def cased(work: Path, target: Path) -> None:
    tokens = tokenizer(lower=False, strip_accents=True)
    model([transformer(work, tokens=tokens), Pooling(WIDTH)]).save(str(target))


def generic_tokenizer(work: Path, target: Path) -> None:
    """`do_lower_case` of tokenizer_config.json is not read by a class that knows none."""
    tokens, weights = multilingual(), bert(pad_token_id=0)
    parts = [transformer(work, tokens=tokens, weights=weights), Pooling(WIDTH), Normalize()]
    model(parts, similarity_fn_name="dot").save(str(target))
    change(target / "tokenizer_config.json", do_lower_case=True)


def default_prompt(work: Path, target: Path) -> None:
    prompts = {"search": "query: "}
    parts = [transformer(work), Pooling(WIDTH)]
    model(parts, prompts=prompts, default_prompt_name="search").save(str(target))


def prompts(work: Path, target: Path) -> None:
    texts = {"query": "query: ", "document": "passage: "}
    model([transformer(work), Pooling(WIDTH)], prompts=texts).save(str(target))


def mean_sqrt(work: Path, target: Path) -> None:
    parts = [transformer(work), Pooling(WIDTH, "mean_sqrt_len_tokens"), Normalize()]
    model(parts, similarity_fn_name="euclidean").save(str(target))


def half(work: Path, target: Path) -> None:
    model([transformer(work, weights=bert().half()), Pooling(WIDTH)]).save(str(target))


def dot(work: Path, target: Path) -> None:
    """To be refused: lengths count."""
    model([transformer(work), Pooling(WIDTH)], similarity_fn_name="dot").save(str(target))


def largest(work: Path, target: Path) -> None:
    """To be refused: pooling by the maximum."""
    model([transformer(work), Pooling(WIDTH, "max")]).save(str(target))


def before_5_4(work: Path, target: Path) -> None:
    """The layout of earlier versions, and the names of weights that came from TensorFlow."""
    head = dense(WIDTH, WIDTH, activation=torch.nn.Tanh())
    model([transformer(work), Pooling(WIDTH), head, Normalize()]).save(str(target))
    places = ("", "1_Pooling", "2_Dense", "3_Normalize")
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    write(target / "modules.json", [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(zip(places, kinds, strict=True))
    ])  # fmt: skip
    write(target / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    modes = {f"pooling_mode_{name}": name == "mean_tokens" for name in names}
    write(target / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH, **modes})
    linear = {"in_features": WIDTH, "out_features": WIDTH, "bias": True}
    named = {"activation_function": "torch.nn.modules.activation.Tanh"}
    write(target / "2_Dense/config.json", linear | named)
    # It had no config, and an empty folder is not kept.
    (target / "3_Normalize/config.json").unlink()
    versions = {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}
    write(target / "config_sentence_transformers.json", {"__version__": versions})
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = {}
    for name, weight in load_file(target / "model.safetensors").items():
        for new, other in old.items():
            name = name.replace(new, other)
        weights[f"bert.{name}"] = weight
    weights["bert.embeddings.position_ids"] = torch.arange(24)[None]
    weights["cls.predictions.bias"] = torch.zeros(40)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


CASES: tuple[Case, ...] = (
    mean, first_token_dense, long_head, lower_case, tokenizer_lower_case, cased, generic_tokenizer,
    default_prompt, prompts, mean_sqrt, half, dot, largest, before_5_4,
)  # fmt: skip


def write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def change(file: Path, **fields: Any) -> None:
    write(file, json.loads(file.read_text()) | fields)


def embed(folder: Path) -> dict[str, Any]:
    """As users do: without a word about prompts, and by each prompt that the model has."""
    opened = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    found = {"": rows(opened.encode(list(TEXTS)))}
    for name, text in opened.prompts.items():
        if text:
            found[name] = rows(opened.encode(list(TEXTS), prompt_name=name))
    if folder.name == "prompts":
        found["encode_query"] = rows(opened.encode_query(list(TEXTS)))
    return found


def rows(embeddings: Any) -> list[list[float]]:
    return [[round(float(number), 6) for number in row] for row in embeddings]


def main(target: Path) -> None:
    made = {}
    for case in CASES:
        name = case.__name__
        with tempfile.TemporaryDirectory() as work:
            torch.manual_seed(1)
            case(Path(work), target / name)
        (target / name / "README.md").unlink()
        for empty in (path for path in (target / name).iterdir() if path.is_dir()):
            if not any(empty.iterdir()):
                shutil.rmtree(empty)
        made[name] = embed(target / name)
    packages = ("sentence-transformers", "transformers", "tokenizers", "torch")
    versions = {name: version(name) for name in packages}
    lines = [f'  "{name}": {json.dumps(found)}' for name, found in made.items()]
    head = f' "versions": {json.dumps(versions)},\n "texts": {json.dumps(TEXTS)},\n'
    text = "{\n" + head + ' "embeddings": {\n' + ",\n".join(lines) + "\n }\n}\n"
    (target / "embeddings.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
