"""`gpu_infer.SlidingWindowInferer` beside MONAI's class of the same name."""

from __future__ import annotations

import inspect
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from monai.inferers import SlidingWindowInferer as MonaiInferer  # noqa: E402
from page_blocks import ROOT, python_example  # noqa: E402

from gpu_infer import SlidingWindowInferer  # noqa: E402

SETTINGS = [
    {},
    {"sw_batch_size": 3, "overlap": 0.5, "mode": "gaussian", "sigma_scale": 0.2},
    {"overlap": (0.1, 0.5, 0.25), "padding_mode": "reflect"},
    {"cval": -2.0, "mode": "gaussian", "cache_roi_weight_map": True},
    {"buffer_steps": 2, "buffer_dim": 1},
    {"cpu_thresh": 5, "sw_device": "cpu", "device": "cpu"},
    {"cpu_thresh": 5},
    {"with_coord": False, "progress": True},
]


def _image() -> torch.Tensor:
    return torch.rand((2, 1, 13, 7, 11), generator=torch.Generator().manual_seed(3))


def _network(windows: torch.Tensor, factor: float = 1.0, *, grid: float = 0.0) -> torch.Tensor:
    return torch.cat([windows * factor + grid, windows.flip(2)], dim=1)


def test_the_constructor_has_the_arguments_and_defaults_of_monai():
    ours = inspect.signature(SlidingWindowInferer.__init__).parameters
    theirs = inspect.signature(MonaiInferer.__init__).parameters
    assert list(ours) == list(theirs)
    for name, parameter in theirs.items():
        default = getattr(parameter.default, "value", parameter.default)
        assert ours[name].default == default, name


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings) or "defaults")
def test_values_agree_with_monai(settings: dict[str, object]):
    image = _image()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = MonaiInferer((6, 8, 4), **settings)(image, _network, 2.0)
    actual = SlidingWindowInferer((6, 8, 4), **settings)(image, _network, 2.0)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_an_argument_named_grid_is_the_networks():
    image = _image()
    expected = MonaiInferer((6, 7, 4))(image, _network, grid=5.0)
    torch.testing.assert_close(SlidingWindowInferer((6, 7, 4))(image, _network, grid=5.0), expected, rtol=0, atol=1e-5)


def test_a_call_replaces_buffer_settings():
    image = _image()
    expected = MonaiInferer((6, 7, 4))(image, _network, buffer_steps=1, buffer_dim=0)
    actual = SlidingWindowInferer((6, 7, 4))(image, _network, buffer_steps=1, buffer_dim=0)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_a_condition_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`condition` must match shape of `inputs` \(\(2, 1, 13, 7, 11\)\)"):
        SlidingWindowInferer((6, 7, 4))(_image(), _network, condition=torch.zeros(1))


def test_a_cache_for_a_dynamic_roi_warns_as_monai():
    with pytest.warns(UserWarning, match="cache is not created"):
        SlidingWindowInferer((6, -1, 4), cache_roi_weight_map=True)


def test_the_example_of_the_page():
    names = {"network": torch.nn.Conv3d(1, 2, 1), "image": torch.rand(1, 1, 100, 98, 97)}
    exec(python_example(ROOT / "docs/library.md", "From MONAI"), names)
    with torch.no_grad():
        expected = names["network"](names["image"])
    torch.testing.assert_close(names["scores"], expected)
    assert torch.equal(names["labels"], names["scores"].argmax(dim=1))
