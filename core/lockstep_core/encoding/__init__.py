"""Loading an encoder artifact, decoding what clients send, running ONNX."""

from lockstep_core.encoding.encoder import GOLDEN_FILE, INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Encoder
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.items import decode_items

__all__ = [
    "GOLDEN_FILE",
    "INPUT_NAME",
    "MODEL_FILE",
    "OUTPUT_NAME",
    "Encoder",
    "EncodingError",
    "SelfCheckError",
    "decode_items",
]
