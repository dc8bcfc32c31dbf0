"""What a pickle of data may ask for by name: numpy arrays and plain containers, built by functions of our own."""

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from mmdisentangle._core.errors import DataError

# Bytes of arrays stay in the mapped file: a view, where a copy would double the memory.
Raw = bytes | bytearray | memoryview
_NUMBERS_AND_TEXT = re.compile(r"[|<>=]?(?:b1|[iu][1248]|f[248]|S[1-9]\d{0,8}|U[1-9]\d{0,7}|\?)")
_OBJECTS = re.compile(r"[|<>=]?O[48]?")


class LongText:
    """A long Python 2 string; bytes of an array as a rule, so it is decoded only where it turns out to be text."""

    __slots__ = ("raw",)

    def __init__(self, raw: memoryview) -> None:
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)


class PickledDtype:
    """A numpy dtype under construction: numbers and texts only, no structures, no metadata."""

    __slots__ = ("dtype",)

    def __init__(self, code: object, *flags: object) -> None:
        if not isinstance(code, str) or not (_NUMBERS_AND_TEXT.fullmatch(code) or _OBJECTS.fullmatch(code)):
            raise DataError(f"an array of dtype {_shown(code)} is neither numbers nor text")
        self.dtype = np.dtype("O" if _OBJECTS.fullmatch(code) else code)

    def build(self, state: object) -> None:
        """Take the byte order from a pickled state, and nothing else."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise DataError("the state of a dtype is not what numpy writes")
        if any(part is not None for part in state[2:5]):
            raise DataError("structured arrays are not read; keep one plain array per modality")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """A numpy array under construction; nothing is allocated before shape and bytes are known to agree."""

    __slots__ = ("items", "value")

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] | None = None
        self.items: list[object] | None = None

    def build(self, state: object) -> int:
        """Take shape, dtype and bytes from a pickled state; return how many bytes that allocates."""
        # Old versions of numpy wrote no version number.
        parts = state[1:] if isinstance(state, tuple) and len(state) == 5 else state
        if not isinstance(parts, tuple) or len(parts) != 4 or self.value is not None:
            raise DataError("the state of an array is not what numpy writes")
        shape, dtype, fortran, raw = parts
        order: Literal["C", "F"] = "F" if fortran else "C"
        if isinstance(dtype, PickledDtype) and dtype.dtype.hasobject:
            if not isinstance(raw, list) or len(raw) != _size(shape):
                raise DataError(
                    f"an array of objects declares the shape {_shown(shape)} but does not hold so many items"
                )
            self.items, self.value = raw, np.empty(len(raw), object).reshape(shape, order=order)
            return 8 * len(raw)
        self.value = array_from_bytes(raw, dtype, shape, order)
        return len(raw) if isinstance(raw, str) else 0

    def fill(self, resolve: Callable[[object], object]) -> np.ndarray[Any, Any]:
        """Return the finished array, the items of an array of objects resolved."""
        if self.value is None:
            raise DataError("an array was announced but never filled")
        if self.items is not None:
            flat = self.value.reshape(-1, order="A")
            for position, item in enumerate(self.items):
                flat[position] = resolve(item)
        return self.value


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:
        # Python refuses to print integers of many thousand digits.
        return "of enormous numbers"


def _size(shape: object) -> int:
    if (
        not isinstance(shape, tuple)
        or len(shape) > 32
        or not all(type(length) is int and 0 <= length < 2**63 for length in shape)
    ):
        raise DataError(f"an array declares the shape {_shown(shape)}")
    return math.prod(shape)


def array_from_bytes(raw: object, dtype: object, shape: object, order: object = "C") -> np.ndarray[Any, Any]:
    """Return a view of ``raw`` after checking that it has exactly the bytes that the shape declares."""
    if isinstance(raw, LongText):
        raw = raw.raw
    elif isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, Raw) or not isinstance(dtype, PickledDtype) or dtype.dtype.hasobject:
        raise DataError("an array is not made of bytes and a dtype")
    size = _size(shape) * dtype.dtype.itemsize
    if size != len(raw) or (order != "C" and order != "F"):
        raise DataError(
            f"an array declares the shape {_shown(shape)} of {dtype.dtype}, which is {size:.6g} bytes, but "
            f"brings {len(raw)}"
        )
    values = np.frombuffer(raw, dtype.dtype) if size else np.zeros(0, dtype.dtype)
    return values.reshape(shape, order=order)


def reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    """Stand in for numpy's ``_reconstruct``, which would allocate any shape it is told."""
    if kind is not ARRAY_TYPE or shape != (0,):
        raise DataError(f"an array is announced with the shape {_shown(shape)}, where numpy always writes (0,)")
    return PickledArray()


def scalar(dtype: object, raw: object) -> Any:
    """Return one number or text."""
    return array_from_bytes(raw, dtype, ()).item()


def encode(text: object, encoding: object) -> bytes:
    """Turn text back into the bytes that protocol 2 spelled as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise DataError("_codecs.encode is called with something other than a text and 'latin1'")
    return text.encode("latin1")


def no_bytes() -> bytes:
    """Return the empty bytes, as protocol 2 spells them."""
    return b""


def byte_array(raw: object = b"", encoding: object = "latin1") -> bytes:
    """Return the bytes of a bytearray; a number, which would ask for so many zeros, is refused."""
    if isinstance(raw, str):
        return encode(raw, encoding)
    if not isinstance(raw, Raw):
        raise DataError("bytearray is called with something other than bytes")
    return bytes(raw)


def set_of(items: object = ()) -> set[Any]:
    """Return a set of texts and numbers."""
    if not isinstance(items, list | tuple | set | frozenset):
        raise DataError("set is called with something other than a list")
    return {key(item) for item in items}


def ordered_dict(pairs: object = ()) -> dict[Any, Any]:
    """Return a dict, which keeps its order by itself."""
    if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
        raise DataError("OrderedDict is called with something other than a list of pairs")
    return {key(name): value for name, value in pairs}


def default_dict(factory: object = None) -> dict[Any, Any]:
    """Return a dict; what a defaultdict would make of an unknown key is of no use in a file."""
    if factory is not None and factory not in (LIST_TYPE, DICT_TYPE):
        raise DataError("a defaultdict makes something other than a list or a dict")
    return {}


def key(value: object) -> Any:
    """Require what may be a key or a member of a set: hashing a deep tuple would overflow the C stack."""
    parts = value if type(value) is tuple and len(value) <= 8 else (value,)
    for part in parts:
        if part is None or type(part) in (str, bytes, float, bool) or (type(part) is int and abs(part) < 2**64):
            continue
        raise DataError(
            f"a {type(value).__name__} is the key of a dict or a member of a set; expected a text or a number"
        )
    return value


class Name:
    """A permitted global: something a pickle may name, and perhaps call. It has no attribute that could be set."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object] | None) -> None:
        self.call = call


ARRAY_TYPE, LIST_TYPE, DICT_TYPE = Name(None), Name(None), Name(None)
_PLAIN: dict[str, Name] = {
    "bytes": Name(no_bytes),
    "bytearray": Name(byte_array),
    "set": Name(set_of),
    "frozenset": Name(set_of),
    "list": LIST_TYPE,
    "dict": DICT_TYPE,
}
_RECONSTRUCT, _SCALAR, _FROM_BYTES = Name(reconstruct), Name(scalar), Name(array_from_bytes)
PERMITTED: dict[tuple[str, str], Name] = {
    ("numpy", "ndarray"): ARRAY_TYPE,
    ("numpy", "dtype"): Name(PickledDtype),
    ("_codecs", "encode"): Name(encode),
    ("collections", "OrderedDict"): Name(ordered_dict),
    ("collections", "defaultdict"): Name(default_dict),
    # Python 2 and 3; numpy 1 and 2.
    **{(module, name): entry for module in ("__builtin__", "builtins") for name, entry in _PLAIN.items()},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BYTES for core in ("core", "_core")},
}
