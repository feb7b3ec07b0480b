"""A custom writer: a table with the bounding box of each label."""

import csv

import numpy as np

from gpu_infer.transforms.arguments import Arguments, Margin
from gpu_infer.writers.base import Writer


class WriteBoxes(Writer):
    """`<case>.boxes.csv`: first and last index of each label along the stored axes, with a margin inside the volume."""

    name = "WriteBoxes"

    class Args(Arguments):
        margin: Margin = 0

    def file_names(self, name):
        """The table alone."""
        return [f"{name}.boxes.csv"]

    def write(self, result, folder):
        """One row per label that occurs."""
        path = folder / f"{result.name}.boxes.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["label", "name", "i_first", "i_last", "j_first", "j_last", "k_first", "k_last"])
            for label in range(1, int(result.labels.max()) + 1):
                mask, ends = result.labels == label, []
                if not mask.any():
                    continue
                for axis, size in enumerate(mask.shape):
                    (planes,) = np.nonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
                    ends += [max(planes[0] - self.args.margin, 0), min(planes[-1] + self.args.margin, size - 1)]
                table.writerow([label, result.table[label].name, *ends])
        return [path]
