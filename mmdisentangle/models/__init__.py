"""The reference model zoo: one file per paper, built from `mmdisentangle.nn`."""

from mmdisentangle.models._early_fusion_settings import EarlyFusionSettings
from mmdisentangle.models._export import export_onnx, export_program
from mmdisentangle.models._late_fusion_settings import LateFusionSettings
from mmdisentangle.models._mea_settings import MEASettings
from mmdisentangle.models._misa_settings import MISASettings
from mmdisentangle.models._mult_settings import MulTSettings
from mmdisentangle.models._multimodal import MultimodalModel
from mmdisentangle.models._registry import create_model, list_models, load_pretrained
from mmdisentangle.models._rtil_settings import RTILSettings
from mmdisentangle.models._settings import ModelSettings
from mmdisentangle.models.early_fusion import EarlyFusion, EarlyFusionObjective, EarlyFusionOutput
from mmdisentangle.models.late_fusion import LateFusion, LateFusionObjective, LateFusionOutput
from mmdisentangle.models.mea import MEA, MEAObjective, MEAOutput
from mmdisentangle.models.misa import MISA, MISAObjective, MISAOutput
from mmdisentangle.models.mult import MulT, MulTObjective, MulTOutput
from mmdisentangle.models.rtil import RTIL, RTILObjective, RTILOutput

__all__ = [
    "MEA",
    "MISA",
    "RTIL",
    "EarlyFusion",
    "EarlyFusionObjective",
    "EarlyFusionOutput",
    "EarlyFusionSettings",
    "LateFusion",
    "LateFusionObjective",
    "LateFusionOutput",
    "LateFusionSettings",
    "MEAObjective",
    "MEAOutput",
    "MEASettings",
    "MISAObjective",
    "MISAOutput",
    "MISASettings",
    "ModelSettings",
    "MulT",
    "MulTObjective",
    "MulTOutput",
    "MulTSettings",
    "MultimodalModel",
    "RTILObjective",
    "RTILOutput",
    "RTILSettings",
    "create_model",
    "export_onnx",
    "export_program",
    "list_models",
    "load_pretrained",
]
