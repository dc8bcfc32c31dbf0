"""A pickle runs nothing, allocates nothing that it only declares, and never ends in anything but a DataError."""

import collections
import contextlib
import functools
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdisentangle.data import read_file
from mmdisentangle.data.readers._unpickle import read_pickle
from mmdisentangle.errors import DataError, DataWarning, MMDisentangleError, UnsafePickleError
from tests.data.research_files import mmsa_content, python2_pickle, record, with_numpy_names

TOUCHED = "touched-by-a-pickle"


def load(tmp_path, raw):
    (tmp_path / "x.pkl").write_bytes(raw)
    return read_pickle(tmp_path / "x.pkl")


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


DATA = {
    "floats": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "swapped": np.arange(4, dtype=">i4"),
    "half": np.ones(2, np.float16),
    "flags": np.array([True, False]),
    "zero-dim": np.array(5.0),
    "nothing": np.zeros((0, 3)),
    "unicode": np.array(["x", "yÿ"]),
    "bytes": np.array([b"x", b"yy"]),
    "objects": np.array(["u", None, 3, b"b"], dtype=object),
    "large": np.arange(5000, dtype=np.float32),
    "numbers": [1, -3, 300, 70000, 2**40, 2**70, -(2**70), 1.5, True, None],
    "texts": ["", "z" * 6000, b"", b"q" * 6000, "ÿ€😀", "it's \\n\n"],
    "scalars": (np.float32(2), np.int64(3), np.str_("k")),
    "set": {1, "a"},
    "frozen": frozenset({2}),
    "ordered": collections.OrderedDict(a=1, b=[2]),
    "default": collections.defaultdict(list, k=[1]),
    "bytearray": bytearray(b"xx"),
    300: {("a", 1): ()},
}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value)
        else:
            assert found[name] == value, name


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back(tmp_path, protocol):
    assert_equal(load(tmp_path, pickle.dumps(DATA, protocol)), DATA)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("protocol", [2, 3])
def test_module_names_of_numpy_1_and_2(tmp_path, version, protocol):
    raw = with_numpy_names(pickle.dumps(DATA, protocol), version)
    assert (b"numpy.core." in raw, b"numpy._core." in raw) == (version == 1, version == 2)
    assert_equal(load(tmp_path, raw), DATA)


def test_python_2(tmp_path):
    content = {"x": np.arange(3000.0), "s": [b"caf\xe9", "abc", b"\xff" * 5000], "a": np.array([b"u", b"v"])}
    raw = python2_pickle(content)
    assert b"cnumpy.core.multiarray\n" in raw
    found = load(tmp_path, raw)
    np.testing.assert_array_equal(found["x"], content["x"])
    np.testing.assert_array_equal(found["a"], content["a"])
    assert found["s"] == ["café", "abc", "ÿ" * 5000]
    # Protocol 0, the default of Python 2.
    assert load(tmp_path, b"(dp0\nS'caf\\xe9'\np1\n(lp2\nI01\naI-5\naL12L\naF1.5\nas.") == {"café": [True, -5, 12, 1.5]}
    assert [type(value) for value in load(tmp_path, b"(lp0\nI01\naI1\na.")] == [bool, int]
    assert load(tmp_path, b"c__builtin__\nset\n((lI1\natR.") == {1}


def test_an_object_that_occurs_twice_is_read_once(tmp_path):
    shared = np.arange(3.0)
    found = load(tmp_path, pickle.dumps([shared, shared, [shared]]))
    assert found[0] is found[1] is found[2][0]


def test_large_arrays_are_views_of_the_file(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"x": np.ones(2**22)}, 5))
    tracemalloc.start()
    found = read_pickle(tmp_path / "x.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["x"].sum() == 2**22
    assert peak < 2**20


def hostile():
    mark = f"open({TOUCHED!r}, 'w').close()"
    touch = f"{sys.executable} -c 'pass'; : > {TOUCHED}"
    array = np.ones(3)
    state = np.ones(3).__reduce__()[2]

    yield "os.system", pickle.dumps(Call(os.system, touch)), "posix.system|nt.system"
    yield "eval", pickle.dumps(Call(eval, mark)), "builtins.eval"
    yield "exec-python-2", pickle.dumps(Call(exec, mark), 2), "__builtin__.exec"
    yield "subprocess", pickle.dumps(Call(subprocess.call, touch)), "subprocess.call"
    yield "getattr", pickle.dumps(Call(getattr, "os", "system")), "getattr"
    yield "partial", pickle.dumps(Call(functools.partial, eval, mark)), "functools.partial"
    yield "nested", pickle.dumps([array, {"x": Call(set, [Call(eval, mark)])}]), "builtins.eval"
    yield "in-an-array", pickle.dumps(np.array([Call(eval, mark)], dtype=object)), "builtins.eval"
    yield "as-state", pickle.dumps(Call(collections.OrderedDict, state={"x": Call(eval, mark)})), "builtins.eval"
    yield "forbidden-but-not-called", b"cos\nsystem\n.", "os.system"
    yield "dotted", b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dot\x93.", "numpy.ndarray.dot"
    yield "dotted-core", b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93.", "numpy.f2py.os.system"
    yield "name-is-no-text", b"\x80\x04K\x01K\x02\x93.", "something other than text"
    yield "newline-in-name", b"\x80\x04\x8c\x02os\x8c\x03a\nb\x93.", r"os.a\\nb"
    yield "numpy-load", pickle.dumps(Call(np.load, "x.npy", None, True)), "numpy.load"
    yield "numpy-random", pickle.dumps(np.random.default_rng(0)), "numpy.random"
    yield (
        "reconstructor",
        b"\x80\x02ccopyreg\n_reconstructor\ncnumpy\nndarray\nc__builtin__\nobject\nN\x87R.",
        "copyreg",
    )
    yield "extension", b"\x80\x02\x82\x01.", "EXT1"
    yield "extension-4", b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"
    yield "persistent", b"(Pos\n.", "PERSID"
    yield "persistent-binary", b"\x80\x02K\x01Q.", "BINPERSID"
    yield "instance", b"(S'touch'\nios\nsystem\n.", "INST"
    yield "object", b"(cbuiltins\neval\nS'1'\no.", "builtins.eval"
    yield "object-permitted", b"(cbuiltins\nset\no.", "OBJ"
    yield "new", b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.", "NEWOBJ"
    yield "new-with-keywords", b"\x80\x04cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"
    yield "outer-buffer", b"\x80\x05\x97.", "NEXT_BUFFER"
    yield "call-of-a-result", b"\x80\x02cbuiltins\nset\n)R)R.", "calls a set"
    yield "call-of-a-type", b"\x80\x02cnumpy\nndarray\nK\x05\x85\x85R.", "calls a Name"
    yield "state-of-a-function", b"\x80\x02cbuiltins\nset\n}U\x04callcbuiltins\nset\nsb.", "state of a Name"
    yield "state-of-a-dict", pickle.dumps(Call(collections.OrderedDict, state={"items": 1})), "state of a dict"
    yield "slots-of-a-set", b"\x80\x02cbuiltins\nset\n)RN}U\x01aK\x01s\x86b.", "state of a set"
    yield "slots-of-a-dtype-state", pickle.dumps(Call(set, [], state=state)), "state of a set"


@pytest.mark.parametrize(("raw", "named"), [pytest.param(raw, named, id=name) for name, raw, named in hostile()])
def test_hostile_pickles_run_nothing(tmp_path, monkeypatch, raw, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(raw)
    for read in (read_pickle, read_file):
        with pytest.raises(UnsafePickleError, match=named) as caught:
            read(tmp_path / "x.pkl")
        assert "\n" not in str(caught.value)
        assert "nothing in it was run" in str(caught.value)
    assert not (tmp_path / TOUCHED).exists()


def test_the_standard_unpickler_would_have_run_it(tmp_path, monkeypatch):
    """The bait above is live."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Call(eval, f"open({TOUCHED!r}, 'w').close()")))
    assert (tmp_path / TOUCHED).exists()


def array_pickle(shape, dtype="f8", raw=b"\0" * 8, *, state=(3, "<", None, None, None, -1, -1, 0), order=False):
    """Spell out a numpy array of any declared shape, by hand."""

    class Dtype:
        def __reduce__(self):
            return np.dtype, (dtype, False, True), state

    class Array:
        def __reduce__(self):
            return np.ones(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, Dtype(), order, raw)

    return pickle.dumps({"train": Array()}, 4)


def bombs():
    huge = struct.pack("<Q", 2**40)
    yield "shape", array_pickle((2**40,))
    yield "shape-product", array_pickle((2**20, 2**20, 2**20))
    yield "shape-overflow", array_pickle((2**62, 2**62))
    yield "shape-negative", array_pickle((-1,))
    yield "shape-of-long-numbers", array_pickle((2**200000,) * 20)
    yield "shape-of-many-axes", array_pickle((1,) * 100000)
    yield "objects", array_pickle((2**40,), "O8", [None])
    yield "object-bytes", array_pickle((2**40,), "O8", b"\0" * 8)
    yield "itemsize", array_pickle((2**40,), "V0", b"")
    yield "itemsize-0", array_pickle((2**40,), "S0", b"")
    yield "long-items", array_pickle((1,), "S2147483647", b"\0")
    yield "structured", array_pickle((1,), "f8", state=(3, "<", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 8, 0))
    yield "subarray", array_pickle((1,), "f8", state=(3, "<", (np.dtype("f8"), (2**40,)), None, None, 8, 8, 0))
    yield "reconstruct", pickle.dumps(Call(np.ones(1).__reduce__()[0], np.ndarray, (2**40,), b"b"))
    yield "reconstruct-object", pickle.dumps(Call(np.ones(1).__reduce__()[0], np.ndarray, (2**33,), b"O"))
    yield "bytearray-of-zeros", pickle.dumps(Call(bytearray, 2**40))
    yield "bytes-of-zeros", pickle.dumps(Call(bytes, 2**40))
    yield "binbytes8", b"\x80\x04\x8e" + huge + b"x."
    yield "bytearray8", b"\x80\x05\x96" + huge + b"x."
    yield "binunicode8", b"\x80\x04\x8d" + huge + b"x."
    yield "frame", b"\x80\x04\x95" + huge + b"N."
    yield "long4", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."
    yield "long4-negative", b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x."
    yield "binstring", b"T" + struct.pack("<i", 2**31 - 1) + b"x."
    yield "binstring-negative", b"T" + struct.pack("<i", -1) + b"x."
    yield "digits", b"I" + b"9" * 10**6 + b"\n."
    yield "deep-lists", b"]" * 10**5 + b"a" * (10**5 - 1) + b"."
    yield "deep-tuples", b")" + b"\x85" * 10**5 + b"."
    yield "deep-key", b"})" + b"\x85" * 10**5 + b"Ns."
    yield "deep-member", b"\x80\x04\x8f()" + b"\x85" * 10**5 + b"\x90."
    yield "marks", b"(" * 10**5 + b"."
    yield "itself", b"]\x94h\x00a."
    # A text of a megabyte that is turned into bytes ten thousand times.
    copies = (
        b"X" + struct.pack("<i", 2**20) + b"x" * 2**20 + b"\x94X\x06\x00\x00\x00latin1\x86\x94c_codecs\nencode\n\x94"
    )
    yield "copies", b"\x80\x04](" + copies + b"h\x02h\x01R" * 10**4 + b"e."


@pytest.mark.parametrize(("name", "raw"), [pytest.param(name, raw, id=name) for name, raw in bombs()])
def test_bombs_cost_nothing(tmp_path, name, raw):
    (tmp_path / "x.pkl").write_bytes(raw)
    shaped = "shape" in name or name.startswith(("object", "reconstruct"))
    tracemalloc.start()
    with pytest.raises(DataError, match="an array .*the shape" if shaped else r"x\.pkl") as caught:
        read_pickle(tmp_path / "x.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The largest of these files has 2 MB; a stack of so many small things costs Python some hundred times that.
    assert peak < 300 * len(raw) + 2**20
    assert len(str(caught.value)) < 1000


def test_memo_numbers_cost_nothing(tmp_path):
    raw = b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b"0j" + struct.pack("<I", 2**32 - 1) + b"."
    tracemalloc.start()
    assert load(tmp_path, raw) == []
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_bombs_stay_within_a_limit_of_the_operating_system(tmp_path):
    """What numpy or the allocator takes without telling Python is seen by the limit."""
    names = []
    for index, (_, raw) in enumerate(bombs()):
        names.append(str(tmp_path / f"{index}.pkl"))
        (tmp_path / f"{index}.pkl").write_bytes(raw)
    code = (
        "import pathlib, resource, sys\n"
        "from mmdisentangle.data.readers._unpickle import read_pickle\n"
        "from mmdisentangle.errors import DataError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 600 * 2**20,) * 2)\n"
        "refused = 0\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        read_pickle(pathlib.Path(name))\n"
        "    except DataError:\n"
        "        refused += 1\n"
        "print(refused)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) == len(names)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00abc", "compressed with gzip; unpack it first"),
        (b"id,label\n1,2\n", "neither a pickle, nor"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01\x00", "a single array"),
        (b"version https://git-lfs.github.com/spec/v1\n", "neither a pickle, nor"),
        (b"\x80\x07N.", "protocol 7"),
        (b"\x80\x04\xff.", "0xff is no instruction"),
        (pickle.dumps(mmsa_content(record()))[:-2000], "cut off"),
        (b"\x80\x02X\xff\x00\x00\x00abc.", "255 bytes should follow and 4 are left: the file is cut off"),
        (b"]" * 200 + b"a" * 199 + b".", "nested more than 64 deep"),
        (b"\x80\x04h\x05.", "makes no sense at byte 4 of 5"),
    ],
)
def test_other_files(tmp_path, raw, message):
    (tmp_path / "x.pkl").write_bytes(raw)
    with pytest.raises(DataError, match=message):
        read_file(tmp_path / "x.pkl")


SEEDS = {
    "protocol 0": pickle.dumps(DATA, 0),
    "protocol 2": pickle.dumps(DATA, 2),
    "protocol 4": pickle.dumps(DATA, 4),
    "protocol 5": pickle.dumps(DATA, 5),
    "python 2": python2_pickle({"x": np.arange(30.0), "s": [b"caf\xe9", "abc"]}),
    "mmsa": pickle.dumps(mmsa_content(record({"train": 2, "test": 2}))),
}


@given(st.sampled_from(sorted(SEEDS)), st.data())
def test_damaged_pickles_give_a_data_error_or_data(tmp_path_factory, name, data):
    raw = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 8), "flips")):
        raw[data.draw(st.integers(0, len(raw) - 1), "position")] = data.draw(st.integers(0, 255), "byte")
    del raw[data.draw(st.integers(0, len(raw)) | st.just(len(raw)), "length") :]
    path = tmp_path_factory.mktemp("damaged") / "x.pkl"
    path.write_bytes(bytes(raw))
    with contextlib.suppress(DataError):
        read_pickle(path)
    # What a damaged pickle still says may be wrong in every other way, and is told in an error of the library too.
    with contextlib.suppress(MMDisentangleError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        read_file(path)
