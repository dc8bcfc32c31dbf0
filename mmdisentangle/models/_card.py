"""The model card of a checkpoint: what the Hugging Face Hub shows."""

import json
from collections.abc import Mapping
from typing import Any

# A card without this line was written by hand, and stays.
CARD_MARK = "<!-- Written by mmdisentangle. Without this line, the card is kept when the model is saved again. -->"


def model_card(config: Mapping[str, Any], *, title: str, paper: str, parameters: int, license: str) -> str:
    """Write ``README.md``: front matter for the Hub, what the model reads and predicts, how to load it.

    Args:
        config: of the model.
        title: name of the method.
        paper: its reference.
        parameters: number of them.
        license: identifier of the weights' licence on the Hub.
    """
    name, modalities = config["model"], config["modalities"]
    settings = {key: value for key, value in config.items() if key not in ("model", "modalities", "num_outputs")}
    rows = "\n".join(f"| `{modality}` | {width} |" for modality, width in modalities.items())
    inputs = ", ".join(f"{json.dumps(modality)}: torch.randn(1, 50, {width})" for modality, width in modalities.items())
    return f"""---
library_name: mmdisentangle
license: {license}
pipeline_tag: other
tags:
- multimodal
- disentanglement
- {name.replace("_", "-")}
---
{CARD_MARK}

# {title}

{paper}

{parameters:,} parameters, task: {config.get("task", "regression")}, outputs: {config["num_outputs"]}.

| modality | features per frame |
|---|---|
{rows}

```python
import torch
from mmdisentangle.models import load_pretrained

model = load_pretrained("path or owner/name")
prediction = model({{{inputs}}}).prediction
```

<details><summary>Settings</summary>

```json
{json.dumps(settings, indent=2)}
```

</details>
"""
