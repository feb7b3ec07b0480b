"""A custom transform in the folder `transforms` of a model archive, beside its folder `config`."""

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import FieldsArguments, Pointwise


class ClipToAir(Pointwise):
    """max(x, air): values outside the scanner's field of view become those of air."""

    name = "ClipToAir"

    class Args(FieldsArguments):
        air: Number = -1024.0

    def function(self, field):
        return ClampedAffine(low=self.args.air)
