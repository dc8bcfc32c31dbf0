"""A ModuleDict that takes any modality name."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, cast

from torch import nn

Part = TypeVar("Part", bound=nn.Module)


class ModalityModules(nn.Module, Generic[Part]):
    """One module per modality, looked up by the modality's own name.

    ``nn.ModuleDict`` refuses names with a dot and names of a module's own attributes (``"keys"``, ``"type"``); such a
    name is stored with a mark, and stays usable as given.

    Attributes:
        names: under which name each modality's module is stored, and found in the state dict.
    """

    def __init__(self, modules: Mapping[str, Part]) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        for name, module in modules.items():
            stored = name.replace(".", "_")
            while hasattr(self, stored):
                stored += "_"
            self.names[name] = stored
            self.add_module(stored, module)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Part:
        return cast(Part, self._modules[self.names[name]])
