"""The whole contract of a backend: a test module subclasses it and gives a module-scoped fixture `backend`."""

from __future__ import annotations

from affine_contract import AffineContract
from blend_split_contract import BlendSplitContract
from filters_contract import FiltersContract
from finish_contract import FinishContract
from finish_masks_contract import FinishMasksContract
from histograms_contract import HistogramsContract
from label_statistics_contract import LabelStatisticsContract
from labels_contract import LabelsContract
from masks_contract import MasksContract
from packs_contract import PacksContract
from pick_contract import PickContract
from prepare_contract import PrepareContract
from ranges_contract import RangesContract
from restore_argmax_contract import RestoreArgmaxContract
from scores_contract import ScoresContract
from taps_contract import TapsContract
from windows_contract import WindowsContract


class BackendContract(
    PrepareContract,
    AffineContract,
    RangesContract,
    HistogramsContract,
    TapsContract,
    WindowsContract,
    BlendSplitContract,
    FinishContract,
    FinishMasksContract,
    FiltersContract,
    RestoreArgmaxContract,
    LabelsContract,
    LabelStatisticsContract,
    MasksContract,
    PacksContract,
    PickContract,
    ScoresContract,
):
    pass
