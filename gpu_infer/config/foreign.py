"""Recognise the configuration of another framework."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

_BUNDLE, _BUNDLE_METADATA = "the configuration of a MONAI bundle", "the metadata of a MONAI bundle"
_PLANS, _DATASET = "nnU-Net plans", "the dataset.json of nnU-Net or of the Medical Segmentation Decathlon"

IMPORTERS = {
    **dict.fromkeys((_BUNDLE, _BUNDLE_METADATA), "gpu-infer import-bundle FOLDER writes one for a bundle"),
    **dict.fromkeys((_PLANS, _DATASET), "gpu-infer import-nnunet FOLDER writes one for a trained folder"),
}
"""What to do with each of these formats."""


def foreign_format(document: Mapping[str, JsonValue]) -> str | None:
    """What the document looks like, None if it has a key that only a config_inference.json has."""
    if {"pre_transforms", "post_transforms", "writers"} & document.keys():
        return None
    if "network_def" in document or any(isinstance(v, dict) and "_target_" in v for v in document.values()):
        return _BUNDLE
    if {"monai_version", "network_data_format"} & document.keys():
        return _BUNDLE_METADATA
    if "plans_name" in document or {"configurations", "dataset_name"} <= document.keys():
        return _PLANS
    if "labels" in document and {"numTraining", "file_ending", "channel_names", "modality"} & document.keys():
        return _DATASET
    return None
