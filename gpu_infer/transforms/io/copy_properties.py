"""CopyProperties: copy properties of one field's source to other fields."""

from __future__ import annotations

import difflib

from pydantic import field_validator

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Arguments, Names, Text
from gpu_infer.transforms.base import Metadata
from gpu_infer.transforms.field import PROPERTIES, FieldState


class CopyProperties(Metadata):
    """Copies the named properties of `from_field`. They describe the source; the written grid is always
    that of the input file."""

    name = "CopyProperties"

    class Args(Arguments):
        fields: Names
        from_field: Text
        properties: Names

        @field_validator("properties")
        @classmethod
        def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            for name in value:
                if name not in PROPERTIES:
                    near = difflib.get_close_matches(name, PROPERTIES, n=1)
                    hint = f'; did you mean "{near[0]}"?' if near else ""
                    raise ValueError(f'unknown property "{name}"{hint} known: {", ".join(PROPERTIES)}')
            return value

    @property
    def references(self) -> tuple[str, ...]:
        return (self.args.from_field,)

    def update(self, fields: dict[str, FieldState]) -> None:
        origin = fields[self.args.from_field].properties
        for missing in (p for p in self.args.properties if p not in origin):
            raise ConfigError(
                f'{self.place}: field "{self.args.from_field}" has no property "{missing}"',
                remedy="copy it from the field that LoadNifti loads",
            )
        for name in self.fields:
            fields[name].properties = {
                **fields[name].properties,
                **{p: origin[p] for p in self.args.properties},
            }
