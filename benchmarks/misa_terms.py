"""What similarity, difference and reconstruction do to the codes of MISA when they reach the encoders: UTD-MHAD.

    python -m benchmarks.misa_terms --data FOLDER/utd_mhad.npz

Training clips only: three of four people train, the fourth validates; the test clips are not read. Settings are those
of `benchmarks.comparison`, with fewer epochs. The spread is the standard deviation of shared codes over validation
clips, mean over features: 0 where every clip gets the same code.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks._measure import write
from benchmarks.comparison import HIDDEN, RECORDINGS, model_settings
from benchmarks.utd_mhad_data import MODALITIES, TRAINING_SUBJECTS, Preparation, inertial_statistics, read_clips
from mmdisentangle.data import train_validation_split
from mmdisentangle.training import fit, load_config

REACHING = {"terms_reach_encoders": True}
NONE = {"difference_weight": 0.0, "similarity_weight": 0.0, "reconstruction_weight": 0.0}
ROWS: dict[str, dict[str, Any]] = {
    "default: none reaches the encoders": {},
    "all reach them, as published": REACHING,
    "all but the difference": {**REACHING, "difference_weight": 0.0},
    "all but the similarity": {**REACHING, "similarity_weight": 0.0},
    "all but the reconstruction": {**REACHING, "reconstruction_weight": 0.0},
    "the difference alone": {**REACHING, **NONE, "difference_weight": 0.3},
    "the similarity alone": {**REACHING, **NONE, "similarity_weight": 1.0},
    "the reconstruction alone": {**REACHING, **NONE, "reconstruction_weight": 1.0},
    "there are no terms": NONE,
    "default, pooled by the mean": {"pooling": "mean"},
}


def run(file: Path, changes: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Train one row and return validation accuracy and the spread of the codes."""
    clips = read_clips(file, TRAINING_SUBJECTS)
    data = Preparation(clips, inertial_statistics(clips)).dataset(clips, tuple(MODALITIES))
    train, validation = train_validation_split(data, 0.25, seed=0)
    settings = [*RECORDINGS["utd_mhad"].settings, *model_settings("misa", HIDDEN["utd_mhad"])]
    settings += [f"training.max_epochs={epochs}", *(f"model.{key}={value}" for key, value in changes.items())]
    result = fit(load_config(overrides=settings), model="misa", train=train, validation=validation)
    batch = validation.collate(list(validation)[:64])
    with torch.no_grad():
        shared = result.model(batch.inputs, batch.masks, present=batch.present).shared
    return {
        "settings": changes,
        "accuracy": result.scores["validation"]["accuracy"],
        "spread": {name: float(code.std(0).mean()) for name, code in shared.items()},
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="utd_mhad.npz")
    options.add_argument("--epochs", type=int, default=5)
    arguments = options.parse_args()
    if not arguments.data.is_file():
        options.error(f"--data: {arguments.data} is no file; the recordings are not part of this project.")
    torch.set_num_threads(1)
    rows = {}
    for name, changes in ROWS.items():
        rows[name] = run(arguments.data, changes, arguments.epochs)
        spread = ", ".join(f"{value:.4f}" for value in rows[name]["spread"].values())
        print(f"| {name} | {rows[name]['accuracy']:.2f} | {spread} |", flush=True)
    write("misa_terms", {"epochs": arguments.epochs, "seed": 0, "rows": rows})


if __name__ == "__main__":
    main()
