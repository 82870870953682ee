"""How specs name transforms of torchvision: their form, and which of them cannot mean anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator
from typing_extensions import TypeAliasType

Setting = TypeAliasType(
    "Setting", "bool | int | float | str | tuple[Setting, ...] | Mapping[str, Setting] | None"
)
"""What a transform may be made with: whatever a file can say."""
WITHIN = "transforms"
"""The argument by which a transform takes others."""
LABELS = "mixes labels, and those of a sample stay as they are here: leave it out"
NUMBERS = "makes something else of bytes, and numbers are made of them behind all transforms: leave it out"
BOXES = "is for boxes or points beside an image, and changes nothing without: leave it out"
SEVERAL = "makes several images of one: leave it out"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("MixUp", "CutMix"), LABELS),
    **dict.fromkeys(("ToTensor", "PILToTensor", "ToImage", "ToPureTensor", "ToPILImage", "ToDtype"), NUMBERS),
    **dict.fromkeys(("ConvertImageDtype", "Normalize", "LinearTransformation"), NUMBERS),
    **dict.fromkeys(
        ("ClampBoundingBoxes", "SetClampingMode", "SanitizeBoundingBoxes", "RandomIoUCrop"), BOXES
    ),
    **dict.fromkeys(("ConvertBoundingBoxFormat", "ClampKeyPoints", "SanitizeKeyPoints"), BOXES),
    **dict.fromkeys(("FiveCrop", "TenCrop"), SEVERAL),
    "Lambda": "is code, and a spec is none: leave it out",
    "UniformTemporalSubsample": "is for films: leave it out",
}
"""Names of `torchvision.transforms.v2` that cannot mean anything here, and why; known before torchvision is asked."""


def one_transform(
    value: str | Mapping[str, Mapping[str, Setting]],
) -> str | Mapping[str, Mapping[str, Setting]]:
    """A name, or a name and what the transform is made with.

    Raises:
        ValueError: there are several names, or none, or one that cannot mean anything.
    """
    names = [value] if isinstance(value, str) else list(value)
    if len(names) != 1:
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in names) or 'an empty mapping'} where one transform is named: write "
            "each as an item of its own, such as `{RandomCrop: {size: 32, padding: 4}}`"
        )
    name = names[0]
    if name in REFUSED:
        raise ValueError(f"`{name}` {REFUSED[name]}")
    return value


Transform = Annotated[str | Mapping[str, Mapping[str, Setting]], AfterValidator(one_transform)]
