"""A ModuleDict that takes any modality name."""

from collections.abc import Iterator, Mapping

from torch import nn


class ModalityModules(nn.ModuleDict):
    """One module per modality, looked up by the modality's own name.

    ``nn.ModuleDict`` refuses names with a dot and names of its own methods (``"keys"``, ``"type"``); such a name is stored
    with a mark, and stays usable as given.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        for name, module in modules.items():
            stored = name.replace(".", "_")
            while hasattr(self, stored):
                stored += "_"
            self.names[name] = stored
            self.add_module(stored, module)

    def __getitem__(self, name: str) -> nn.Module:
        module = self._modules[self.names[name]]
        assert module is not None
        return module

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def keys(self):  # type: ignore[no-untyped-def]
        return self.names.keys()

    def items(self):  # type: ignore[no-untyped-def]
        return [(name, self[name]) for name in self.names]

    def values(self):  # type: ignore[no-untyped-def]
        return [self[name] for name in self.names]
