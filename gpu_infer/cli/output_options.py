"""Options of `gpu-infer run` for what comes out: formats, the publish folder, pictures, numbers, scores, DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from gpu_infer.choices import DicomSeg as DicomSegChoice
from gpu_infer.choices import Format as FormatChoice
from gpu_infer.choices import PublishDialect as DialectChoice
from gpu_infer.choices import ScoresActivation as ScoresActivationChoice
from gpu_infer.choices import ScoresDtype as ScoresDtypeChoice
from gpu_infer.choices import ScoresFormat as ScoresFormatChoice
from gpu_infer.cli.options import FILES, path

_DICOM = "DICOM output"

Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="|".join(get_args(FormatChoice)),
        help="Format of the label map; repeat it for several; default the configuration's, then mhd.",
        rich_help_panel=FILES,
    ),
]
Publish = Annotated[
    str | None,
    typer.Option(
        "--publish",
        help="Folder for a renderer; default none. (env NVIDIA_CLARA_PUBLISHING)",
        rich_help_panel=FILES,
    ),
]
PublishDialect = Annotated[
    DialectChoice | None,
    typer.Option(
        "--publish-dialect", help="Form of config.meta in the publish folder; default v1.", rich_help_panel=FILES
    ),
]
Preview = Annotated[
    bool | None,
    typer.Option(
        "--preview/--no-preview",
        help="Also write a picture of three planes with contours; default off.",
        rich_help_panel=FILES,
    ),
]
PlainPreview = Annotated[
    bool | None,
    typer.Option(
        "--plain-preview", help="Also write the preview, and a second one without contours.", rich_help_panel=FILES
    ),
]
Page = Annotated[
    bool | None,
    typer.Option(
        "--page/--no-page",
        help="Write index.html, which shows the case, into the publish folder; default on.",
        rich_help_panel=FILES,
    ),
]
DicomSeg = Annotated[
    DicomSegChoice | None,
    typer.Option(
        "--dicom-seg",
        help="Also write a DICOM SEG; auto: BINARY up to 16 labels, LABELMAP above.",
        rich_help_panel=_DICOM,
    ),
]
DicomSc = Annotated[
    bool | None,
    typer.Option(
        "--dicom-sc/--no-dicom-sc",
        help="Also write pictures of all slices with the labels in colour; default off.",
        rich_help_panel=_DICOM,
    ),
]
DicomSr = Annotated[
    bool | None,
    typer.Option(
        "--dicom-sr/--no-dicom-sr",
        help="Also write a DICOM SR with the volumes of the labels; needs --dicom-seg; default off.",
        rich_help_panel=_DICOM,
    ),
]
RtStruct = Annotated[
    bool | None,
    typer.Option(
        "--rtstruct/--no-rtstruct",
        help="Also write an RT Structure Set with the outlines of the labels; default off.",
        rich_help_panel=_DICOM,
    ),
]
DicomReference = Annotated[
    Path | None,
    typer.Option(
        "--dicom-reference",
        parser=path,
        metavar="FOLDER",
        help="Series to which the DICOM files belong; default the input.",
        rich_help_panel=_DICOM,
    ),
]
Send = Annotated[
    str | None,
    typer.Option(
        "--send",
        metavar="ADDRESS",
        help="Send the DICOM files to AETITLE@HOST:PORT (C-STORE) or http(s)://HOST/PATH (STOW-RS).",
        rich_help_panel=_DICOM,
    ),
]
Scores = Annotated[
    str | None,
    typer.Option(
        "--scores",
        metavar="LABELS",
        help="Also write the probabilities of these labels: numbers or names with commas between them, or all.",
        rich_help_panel=FILES,
    ),
]
Uncertainty = Annotated[
    bool | None,
    typer.Option(
        "--uncertainty/--no-uncertainty",
        help="Also write the entropy of the probabilities, 0 to 1; default off.",
        rich_help_panel=FILES,
    ),
]
ScoresFormat = Annotated[
    ScoresFormatChoice | None,
    typer.Option("--scores-format", help="Format of both; default nii.gz.", rich_help_panel=FILES),
]
ScoresDtype = Annotated[
    ScoresDtypeChoice | None,
    typer.Option("--scores-dtype", help="Type of their voxels; default uint8.", rich_help_panel=FILES),
]
ScoresActivation = Annotated[
    ScoresActivationChoice | None,
    typer.Option(
        "--scores-activation",
        help="What makes probabilities of the model's scores; default none, if they are probabilities.",
        rich_help_panel=FILES,
    ),
]
Statistics = Annotated[
    bool | None,
    typer.Option(
        "--statistics/--no-statistics",
        help="Also measure every label: volume, place and values, for the report and a .csv; default off.",
        rich_help_panel=FILES,
    ),
]
