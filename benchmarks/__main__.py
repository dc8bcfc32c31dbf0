"""The benchmarks that need nothing but this repository, one after the other.

python -m benchmarks            # minutes; rewrites benchmarks/results
python -m benchmarks --quick    # do they run?
"""

import argparse
import subprocess
import sys

NEEDING_NOTHING = ("temporal_invariance", "frame_fusion", "rtil_step", "basic_motions")
QUICK = {
    "temporal_invariance": ["--rounds", "3"],
    "frame_fusion": ["--quick"],
    "rtil_step": ["--quick"],
    "basic_motions": ["--seeds", "1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    for name in NEEDING_NOTHING:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *(QUICK[name] if quick else [])], check=True)


if __name__ == "__main__":
    main()
