"""A custom transform: the window of a viewer, by its centre and width."""

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import FieldsArguments, Pointwise


class WindowLevel(Pointwise):
    """(x − centre) / width + 0.5, clipped to [0, 1]."""

    name = "WindowLevel"

    class Args(FieldsArguments):
        center: Number
        width: Number

    def function(self, field):
        """The window as a function of one voxel, which runs in one pass with the neighbouring transforms."""
        return ClampedAffine(scale=1 / self.args.width, centre=self.args.center, shift=0.5, low=0, high=1)
