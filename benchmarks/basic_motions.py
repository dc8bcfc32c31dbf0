"""Accuracy of RTIL on the bundled BasicMotions recordings, over five seeds, with the settings of `make demo`.

python -m benchmarks.basic_motions
"""

import argparse
import statistics

from benchmarks._measure import write
from mmdisentangle.data import load_basic_motions
from mmdisentangle.training import fit, load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="settings, as of the command line")
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        config = load_config(overrides=[*arguments.settings, f"seed={seed}"])
        result = fit(config, model="rtil", train=load_basic_motions("train"), test=load_basic_motions("test"))
        scores = {part: values["accuracy"] for part, values in result.scores.items()}
        print(f"seed {seed}: validation {scores['validation']:.3f}, test {scores['test']:.3f}", flush=True)
        rows.append({"seed": seed, "epoch": result.epoch, **scores})
    test = [row["test"] for row in rows]
    mean, std = statistics.mean(test), statistics.stdev(test) if len(test) > 1 else 0.0
    print(f"test accuracy {mean:.3f} +- {std:.3f} over {len(test)} seeds")
    if not arguments.settings:
        write("basic_motions", {"test_accuracy": {"mean": mean, "std": std}, "runs": rows})


if __name__ == "__main__":
    main()
