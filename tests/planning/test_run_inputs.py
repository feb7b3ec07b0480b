"""Options beat the configuration, and a run needs a model's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planned_runs import inputs_of

from gpu_infer.errors import ConfigError
from gpu_infer.planning.run_inputs import model_entries


def test_options_beat_the_configuration(tmp_path: Path) -> None:
    assert inputs_of(tmp_path, (8, 8, 8)).batch_size is None
    assert inputs_of(tmp_path, (8, 8, 8), batch_size=3).batch_size == 3
    inputs = inputs_of(tmp_path, (8, 8, 8), options={"batch_size": 5, "model_name": "other"}, batch_size=3)
    assert inputs.batch_size == 5
    assert [entry.model_name for entry in model_entries(inputs.config, inputs.settings)] == ["other"]


def test_a_run_without_a_models_name_is_refused(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (8, 8, 8), model_name=None)
    with pytest.raises(ConfigError, match=r"config_inference\.json: inferer\.args\.model_name is missing"):
        model_entries(inputs.config, inputs.settings)


def test_the_trace_is_of_the_headers_volume(tmp_path: Path) -> None:
    trace = inputs_of(tmp_path, (8, 9, 10), dtype=np.int16).trace()
    assert (trace.model_shape, trace.model_channels) == ((8, 9, 10), 1)
    assert trace.stages[0].dtype_in == np.int16
