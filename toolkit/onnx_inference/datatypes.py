"""The datatypes of the Open Inference Protocol in numpy."""

from collections.abc import Mapping

#: numpy's name by datatype. BF16 and BYTES are missing: numpy has no type for either.
NUMPY_NAMES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
