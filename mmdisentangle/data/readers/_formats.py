"""Which format a file has, found from its content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmdisentangle._core.checks import check_choice
from mmdisentangle._core.errors import DataError
from mmdisentangle.data.readers._names import shown
from mmdisentangle.data.readers._raw import Array, RawFile
from mmdisentangle.data.readers._unpickle import read_pickle
from mmdisentangle.data.readers.folder import read_folder
from mmdisentangle.data.readers.misa import is_misa, misa_files, read_misa, read_misa_folder
from mmdisentangle.data.readers.mmsa import is_mmsa, read_mmsa
from mmdisentangle.data.readers.mult import is_mult, read_mult
from mmdisentangle.data.readers.own import read_npz, read_own, read_safetensors

FORMATS = ("auto", "mmsa", "mult", "misa", "npz", "safetensors", "folder")
# First bytes of files that people hand in by mistake.
_OTHERS = {
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard; unpack it first",
    b"\x89HDF": "an HDF5 file; save its arrays with numpy.savez",
    b"\x93NUMPY": "a single array; a data set needs targets too, see load_npz",
}


def read_raw(path: Path, format: str, embeddings: Array | None) -> tuple[str, RawFile]:
    """Return the name of the format and what the file holds.

    Raises:
        FileNotFoundError: there is no such file or folder.
        DataError: nothing that can be read, or not what ``format`` says.
    """
    check_choice("read_file", "format", format, FORMATS)
    if not path.exists():
        raise FileNotFoundError(2, "no such data file", str(path))
    where = str(path)
    if path.is_dir():
        return _read_folder(path, where, format, embeddings)
    kind = _kind(path)
    wanted = kind if format == "auto" else format
    if kind != "pickle" and wanted != kind:
        raise DataError(f"{where}: format={format!r} is given, but the content is that of {kind}.")
    if kind == "pickle" and wanted in ("npz", "safetensors", "folder"):
        raise DataError(f"{where}: format={format!r} is given, but the content is that of a pickle.")
    if kind == "npz":
        return kind, read_own(where, read_npz(path))
    if kind == "safetensors":
        return kind, read_own(where, read_safetensors(path))
    content = read_pickle(path)
    name = _pickle_format(where, content) if format == "auto" else format
    if name == "misa":
        return name, read_misa(where, content, stem=path.stem, embeddings=embeddings)
    readers: dict[str, Callable[[str, Any], RawFile]] = {"mmsa": read_mmsa, "mult": read_mult}
    return name, readers[name](where, content)


def _read_folder(path: Path, where: str, format: str, embeddings: Array | None) -> tuple[str, RawFile]:
    if (path / "labels.csv").is_file() and format in ("auto", "folder"):
        return "folder", read_folder(path)
    if misa_files(path) and format in ("auto", "misa"):
        return "misa", read_misa(where, read_misa_folder(path), embeddings=embeddings)
    raise DataError(
        f"{where}: a folder of data needs labels.csv (one .npy file per sample and modality) or train.pkl, dev.pkl and "
        f"test.pkl (MISA); found {shown(sorted(file.name for file in path.iterdir()))}."
    )


def _kind(path: Path) -> str:
    """Return npz, safetensors or pickle."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise DataError(f"{path} is empty.")
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"{path} cannot be read: it is {what}.")
    if start.startswith(b"PK"):
        return "npz"
    if len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size:
        return "safetensors"
    # Protocols 2 to 5 begin with 0x80; the older ones with the instruction that makes a container or names something.
    if start[:1] in b"\x80(}]c":
        return "pickle"
    raise DataError(
        f"{path} is neither a pickle, nor an .npz or .safetensors file, nor a folder of data; it begins with {start!r}."
    )


def _pickle_format(where: str, content: Any) -> str:
    for name, fits in (("mmsa", is_mmsa), ("mult", is_mult), ("misa", is_misa)):
        if fits(content):
            return name
    found = type(content).__name__ + (f" with the keys {shown(content)}" if isinstance(content, dict) else "")
    raise DataError(
        f"{where}: the pickle is none of those known: expected a dict of train, valid and test whose parts have "
        f"regression_labels (MMSA) or labels (MulT), or lists of samples (MISA), found a {found}."
    )
