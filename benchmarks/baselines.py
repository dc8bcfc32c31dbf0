"""Late fusion of the zoo for any number of modalities; with one it is a plain classifier."""

from typing import ClassVar

from mmdisentangle import models


class LateFusion(models.LateFusion):
    """The zoo's late fusion, which also takes a single modality."""

    least_modalities: ClassVar[int] = 1
