"""Loading an encoder artifact, preparing texts, running ONNX."""

from lockstep_core.encoding.encoder import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Encoder
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.golden import GOLDEN_FILE, Golden, write_golden
from lockstep_core.encoding.preprocessing import PREPROCESS_FILE, Preprocessing, Raw
from lockstep_core.encoding.texts import as_texts
from lockstep_core.encoding.tokens import TOKENIZER_FILE

__all__ = [
    "GOLDEN_FILE",
    "INPUT_NAME",
    "MODEL_FILE",
    "OUTPUT_NAME",
    "PREPROCESS_FILE",
    "TOKENIZER_FILE",
    "Encoder",
    "EncodingError",
    "Golden",
    "Preprocessing",
    "Raw",
    "SelfCheckError",
    "as_texts",
    "write_golden",
]
