"""Texts to prove an encoder with that no data set came with."""

from __future__ import annotations

from lockstep_core.encoding import EncodingError, Preprocessing, Raw, as_texts
from lockstep_trainer.pretrained.base import NetworkError

# Golden vectors of weights that no data set came with: several scripts, lengths and registers.
SENTENCES = (
    "A release is one encoder together with one build of every index that follows it.",
    "kubectl get pods --all-namespaces",
    "The quick brown fox jumps over the lazy dog.",
    "Wireless noise-cancelling headphones, black, 30 hours of battery",
    "How do I reset my password?",
    "Die Würde des Menschen ist unantastbar.",
    "L'encodeur et l'index ne partagent pas le même espace.",
    "Москва — столица России",
    "東京は日本の首都です。",
    "مرحبا بالعالم",
    "SELECT id, label FROM items WHERE label = 'shoe' ORDER BY id LIMIT 10;",
    "It was a bright cold day in April, and the clocks were striking thirteen.",
    "error: connection refused (os error 111)",
    "3.14159 26535 89793",
    "free, open, small",
    "x",
)


def sentences_for(preprocessing: Preprocessing) -> Raw:
    """`SENTENCES`, each cut to as many of its words as the encoder takes.

    Raises NetworkError when it takes not even two of their first words.
    """
    fitting = (_fitting(preprocessing, sentence) for sentence in SENTENCES)
    taken = list(dict.fromkeys(text for text in fitting if text))
    if len(taken) < 2:
        raise NetworkError(
            "texts may be so short that the encoder takes no word of a sentence: give a larger"
            " --max-length"
        )
    return as_texts(taken)


def _fitting(preprocessing: Preprocessing, sentence: str) -> str:
    """The longest beginning that is taken; empty for none."""
    words = sentence.split(" ")
    for count in range(len(words), 0, -1):
        text = " ".join(words[:count])
        try:
            preprocessing.prepare(as_texts([text]))
        except EncodingError:
            continue
        return text
    return ""
