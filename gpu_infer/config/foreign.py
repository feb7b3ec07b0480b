"""Recognise the configuration of another framework."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue


def foreign_format(document: Mapping[str, JsonValue]) -> str | None:
    """What the document looks like, None if it has a key that only a config_inference.json has."""
    if {"pre_transforms", "post_transforms", "writers"} & document.keys():
        return None
    if "network_def" in document or any(isinstance(v, dict) and "_target_" in v for v in document.values()):
        return "the configuration of a MONAI bundle"
    if {"monai_version", "network_data_format"} & document.keys():
        return "the metadata of a MONAI bundle"
    if "plans_name" in document or {"configurations", "dataset_name"} <= document.keys():
        return "nnU-Net plans"
    if "labels" in document and {"numTraining", "file_ending", "channel_names", "modality"} & document.keys():
        return "the dataset.json of nnU-Net or of the Medical Segmentation Decathlon"
    return None
