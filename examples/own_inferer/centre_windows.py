"""A custom inferer: windows whose centres lie side by side, and whose margins are context only."""

from itertools import product

from gpu_infer.inferers.base import Inferer
from gpu_infer.transforms.arguments import Arguments, Integer


class CentreWindows(Inferer):
    """Labels of the centres of windows. No voxel is inferred twice, and no label depends on the border of a window."""

    name = "CentreWindows"
    returns = "labels"

    class Args(Arguments):
        margin: Integer = 0

    def infer(self, volume, model, backend):
        """Cut windows around the centres, infer them, and take the argmax of the centres."""
        sizes, margin = model.sizes, self.args.margin
        steps = [size - 2 * margin for size in sizes.window]
        if margin < 0 or min(steps) < 1:
            raise ValueError(f"margin {margin} leaves no centre of windows {sizes.window}")
        labels = backend.empty(sizes.grid, sizes.label_dtype)
        places = list(product(*(range(0, n, step) for n, step in zip(sizes.grid, steps, strict=True))))
        windows = backend.empty((self._at_a_time(sizes), sizes.channels, *sizes.window), sizes.dtype)
        for first in range(0, len(places), windows.shape[0]):
            group = places[first : first + windows.shape[0]]
            part = windows[: len(group)]
            backend.gather(volume, [tuple(start - margin for start in place) for place in group], part, 0.0)
            scores = model.infer(part)
            for number, place in enumerate(group):
                ends = [min(start + step, n) for start, step, n in zip(place, steps, sizes.grid, strict=True)]
                inside = tuple(slice(margin, margin + end - start) for start, end in zip(place, ends, strict=True))
                box = tuple(slice(start, end) for start, end in zip(place, ends, strict=True))
                backend.argmax(scores[(number, slice(None), *inside)], labels[box])
            del scores  # before the next ones are made
        return labels

    def scratch_bytes(self, sizes):
        """The windows of a call of `model.infer` and their scores."""
        return sizes.request_bytes(self._at_a_time(sizes))

    def _at_a_time(self, sizes):
        """Two requests in flight: one is filled while the server computes the other."""
        return 2 * sizes.batch
