"""A frozen TensorFlow graph by tf2onnx to an entry: names, and values against the graph in NumPy.

Runs if TENSORFLOW_PYTHON names an interpreter with tensorflow-cpu and tf2onnx: 1.7 GB that `make test` does without.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from gpu_infer.repository.add import add_onnx

PYTHON = os.environ.get("TENSORFLOW_PYTHON", "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON, reason="TENSORFLOW_PYTHON is not set")]

FREEZE = """
import sys
import tensorflow as tf
with tf.Graph().as_default() as graph:
    x = tf.compat.v1.placeholder(tf.float32, [None, None, None, None, 1], "NV_MODEL_INPUT")
    kernel = tf.reshape(tf.constant([1.0, -2.0]), [1, 1, 1, 1, 2])
    tf.nn.bias_add(tf.nn.conv3d(x, kernel, [1] * 5, "SAME"), [0.0, 1.0], name="NV_MODEL_OUTPUT")
with open(sys.argv[1], "wb") as stream:
    stream.write(graph.as_graph_def().SerializeToString())
"""


def test_a_frozen_graph_becomes_an_entry(tmp_path: Path) -> None:
    frozen, source = tmp_path / "model.pb", tmp_path / "model.onnx"
    names = {"NV_MODEL_INPUT:0": "NV_MODEL_INPUT", "NV_MODEL_OUTPUT:0": "NV_MODEL_OUTPUT"}
    convert = ["-m", "tf2onnx.convert", "--graphdef", str(frozen), "--output", str(source)]
    convert += ["--inputs", "NV_MODEL_INPUT:0", "--outputs", "NV_MODEL_OUTPUT:0"]
    for arguments in (["-c", FREEZE, str(frozen)], convert):
        done = subprocess.run([PYTHON, *arguments], capture_output=True, encoding="utf-8", timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    plain = add_onnx(tmp_path, "plain", source)
    assert [tensor.name for tensor in (*plain.inputs, *plain.outputs)] == list(names)
    entry = add_onnx(tmp_path, "renamed", source, rename=names)
    assert (entry.max_batch_size, entry.inputs[0].dims) == (1, (-1, -1, -1, 1))
    x = np.random.default_rng(4).random((1, 4, 5, 6, 1), np.float32)
    session = onnxruntime.InferenceSession(str(entry.folder / "1/model.onnx"))
    scores = session.run(["NV_MODEL_OUTPUT"], {"NV_MODEL_INPUT": x})[0]
    np.testing.assert_allclose(scores, np.concatenate([x, 1 - 2 * x], axis=-1), atol=1e-6)
