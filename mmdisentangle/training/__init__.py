"""Training: settings, schedules, a Lightning module, run folders, a command line. Needs ``mmdisentangle[train]``.

Names are imported when they are first used, so that schedules and settings do not need Lightning.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdisentangle.training.callbacks import ReversalSchedule
    from mmdisentangle.training.config import (
        Config,
        DataConfig,
        OptimConfig,
        ReversalConfig,
        TrainingConfig,
        load_config,
        save_config,
    )
    from mmdisentangle.training.cost import Cost
    from mmdisentangle.training.fitting import Result, fit
    from mmdisentangle.training.module import DisentanglementModule
    from mmdisentangle.training.monitor import DiscriminatorMonitor
    from mmdisentangle.training.runs import FinishedRun, RunFolder
    from mmdisentangle.training.schedules import create_schedule, list_schedules, with_warmup

__all__ = [
    "Config",
    "Cost",
    "DataConfig",
    "DiscriminatorMonitor",
    "DisentanglementModule",
    "FinishedRun",
    "OptimConfig",
    "Result",
    "ReversalConfig",
    "ReversalSchedule",
    "RunFolder",
    "TrainingConfig",
    "create_schedule",
    "fit",
    "list_schedules",
    "load_config",
    "save_config",
    "with_warmup",
]

_HOMES = {
    "callbacks": ("ReversalSchedule",),
    "cost": ("Cost",),
    "config": (
        "Config",
        "DataConfig",
        "OptimConfig",
        "ReversalConfig",
        "TrainingConfig",
        "load_config",
        "save_config",
    ),
    "fitting": ("Result", "fit"),
    "module": ("DisentanglementModule",),
    "monitor": ("DiscriminatorMonitor",),
    "runs": ("FinishedRun", "RunFolder"),
    "schedules": ("create_schedule", "list_schedules", "with_warmup"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_THIRD_PARTY = dict.fromkeys(("callbacks", "cost", "fitting", "module", "monitor"), "lightning")


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME_OF[name]
    if home in _THIRD_PARTY:
        from mmdisentangle._core.errors import require_extra

        require_extra(_THIRD_PARTY[home], "train")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
