"""The wheel holds the package, its data and its notices, and works away from the checkout."""

import hashlib
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import mmdisentangle


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=repository,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_holds_the_package_and_nothing_else(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = f"mmdisentangle-{mmdisentangle.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"mmdisentangle", metadata}
    expected = {
        path.relative_to(repository).as_posix()
        for suffix in ("*.py", "py.typed", "*.html", "*.npz")
        for path in (repository / "mmdisentangle").rglob(suffix)
    }
    assert {name for name in names if name.startswith("mmdisentangle/")} == expected
    assert {"mmdisentangle/py.typed", "mmdisentangle/data/_bundled/basic_motions.npz"} <= names
    assert {f"{metadata}/licenses/LICENSE", f"{metadata}/licenses/NOTICES.md"} <= names


def test_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == mmdisentangle.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    core = {
        re.split(r"[^\w-]", line, maxsplit=1)[0]
        for line in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in line
    }
    heavy = {"lightning", "torchmetrics", "tensorboard", "scikit-learn", "triton", "transformers", "matplotlib"}
    assert "torch" in core
    assert not core & heavy


def test_citation_names_this_version(repository: Path) -> None:
    assert f"version: {mmdisentangle.__version__}\n" in (repository / "CITATION.cff").read_text(encoding="utf-8")


def test_bundled_recordings_are_the_ones_that_were_checked(repository: Path) -> None:
    recordings = repository / "mmdisentangle" / "data" / "_bundled" / "basic_motions.npz"
    digest = hashlib.sha256(recordings.read_bytes()).hexdigest()
    assert digest in (repository / "NOTICES.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_installed_away_from_the_checkout_it_imports_and_trains(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True, with_pip=False)
    (site,) = environment.glob("lib/python*/site-packages")
    # The dependencies of this environment, without its editable install: a folder named in a .pth file is put on the
    # path, but the .pth files inside that folder are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [str(environment / "bin" / "python"), "-P", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    location = run("-c", "import mmdisentangle; print(mmdisentangle.__file__)")
    assert Path(location.strip()).is_relative_to(site)
    command = "import sys; from mmdisentangle.training.cli import main; sys.exit(main())"
    run("-c", command, "train", "rtil", "--data", "basic-motions", "--out", "run", "--set", "training.max_epochs=1")
    assert (tmp_path / "run" / "metrics.json").is_file()
