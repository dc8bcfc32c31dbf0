"""The reference model zoo: one file per paper, built from `mmdisentangle.nn`."""

from mmdisentangle.models._mea_settings import MEASettings
from mmdisentangle.models._registry import create_model, list_models, load_pretrained
from mmdisentangle.models._rtil_settings import RTILSettings
from mmdisentangle.models.mea import MEA, MEAObjective, MEAOutput
from mmdisentangle.models.rtil import RTIL, RTILObjective, RTILOutput

__all__ = [
    "MEA",
    "RTIL",
    "MEAObjective",
    "MEAOutput",
    "MEASettings",
    "RTILObjective",
    "RTILOutput",
    "RTILSettings",
    "create_model",
    "list_models",
    "load_pretrained",
]
