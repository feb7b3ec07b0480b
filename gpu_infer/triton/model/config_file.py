"""Read a config.pbtxt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpu_infer.errors import ModelError


def read_config_file(path: Path) -> Any:
    """The file as Triton's message ModelConfig. Raises ModelError if it does not parse."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    parsed = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), parsed)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}", remedy="see Triton's model configuration") from error
    return parsed


def datatype_name(data_type: int) -> str:
    """Triton's name (FP32, …) of a tensor's data_type."""
    from tritonclient.grpc import model_config_pb2

    return str(model_config_pb2.DataType.Name(data_type)).removeprefix("TYPE_")
