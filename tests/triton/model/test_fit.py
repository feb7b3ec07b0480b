"""Whether windows fit a model's fixed dims."""

from __future__ import annotations

import pytest
from triton_fakes import model

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.fit import check_fit
from gpu_infer.triton.model.layout import TensorLayout


def test_fit() -> None:
    check_fit(model(), 1, (8, 8, 8))
    check_fit(model(dims_in=(-1, 8, 8, 8)), 7, (8, 8, 8))
    with pytest.raises(ModelError, match="wrong channel count: model toy takes 1 in IN, the volume has 3") as caught:
        check_fit(model(), 3, (8, 8, 8))
    assert "the 4th axis of a 4-D file is read as channels" in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="takes 3 in IN, the volume has 1") as caught:
        check_fit(model(dims_in=(3, -1, -1, -1)), 1, (8, 8, 8))
    assert "4-D" not in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="IN fixed at 16 on axis Y, the window is 8") as caught:
        check_fit(model(dims_in=(1, 8, 16, 8)), 1, (8, 8, 8))
    assert caught.value.remedy == "set roi_size to [8, 16, 8]"
    with pytest.raises(ModelError, match="OUT fixed at 4 on axis X"):
        check_fit(model(dims_out=(2, 4, -1, -1)), 1, (8, 8, 8))
    check_fit(model(dims_in=(8, 9, 10, 1), dims_out=(8, 9, 10, 2)), 1, (8, 9, 10), TensorLayout(channels="last"))
