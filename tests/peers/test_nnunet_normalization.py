"""NormalizeAsNnunet against the normalisation schemes of nnU-Net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from nnunetv2.preprocessing.normalization import default_normalization_schemes as nnunet
from peers_ours import prepared

FOREGROUND = (-150.0, 320.0, 41.5, 87.25)
PROPERTIES = {
    "percentile_00_5": FOREGROUND[0],
    "percentile_99_5": FOREGROUND[1],
    "mean": FOREGROUND[2],
    "std": FOREGROUND[3],
}
PEERS = {
    "ct": nnunet.CTNormalization(None, PROPERTIES),
    "zscore": nnunet.ZScoreNormalization(False, {}),
    "masked_zscore": nnunet.ZScoreNormalization(True, {}),
    "rescale": nnunet.RescaleTo01Normalization(None, {}),
    "rgb": nnunet.RGBTo01Normalization(None, {}),
    "none": nnunet.NoNormalization(None, {}),
}


@pytest.mark.parametrize("seed", range(3))
def test_a_scheme_for_each_channel(seed: int, equivalence: Any) -> None:
    rng = np.random.default_rng(seed)
    data = rng.integers(-1000, 1500, (6, 17, 13, 11)).astype(np.float32)
    data[4] = rng.integers(0, 256, data.shape[1:])
    data[:, rng.random(data.shape[1:]) < 0.6] = 0
    order = [str(name) for name in rng.permutation(list(PEERS))]
    data = np.ascontiguousarray(data[[4 if name == "rgb" else (5 if n == 4 else n) for n, name in enumerate(order)]])
    inside = np.where(create_nonzero_mask(data), 0, -1)
    expected = np.stack([PEERS[name].run(data[n].copy(), inside) for n, name in enumerate(order)])
    foreground = [FOREGROUND if name == "ct" else None for name in order]
    actual = prepared(data, ("NormalizeAsNnunet", {"schemes": order, "foreground": foreground}))
    for n, name in enumerate(order):
        # without a scheme, values stay those of the file
        scale = 1500.0 if name == "none" else 1.0
        worst = float(np.abs(actual[n] - expected[n]).max()) / scale
        assert worst <= 1e-5, name
        equivalence.record(
            f"nnunetv2 {type(PEERS[name]).__name__}" + (" of a channel with a mask" if name == "masked_zscore" else ""),
            f'NormalizeAsNnunet (scheme "{name}")',
            tolerance="1e-5",
            worst=worst,
            differs={
                "zscore": "A deviation of 0 counts as 1 (nnU-Net: 1e-8).",
                "masked_zscore": "A deviation of 0 counts as 1 (nnU-Net: 1e-8).",
                "rgb": "nnU-Net refuses values outside 0 to 255; gpu_infer divides them by 255, too.",
            }.get(name, ""),
        )
