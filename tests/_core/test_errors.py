import sys
import types

import pytest

from mmdisentangle import errors
from mmdisentangle._core.errors import nearest_names, require_extra
from tests.oracles import expect


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (errors.ShapeError, ValueError),
        (errors.DtypeError, TypeError),
        (errors.SettingError, ValueError),
        (errors.ModalityError, KeyError),
        (errors.UnknownNameError, KeyError),
        (errors.CheckpointError, ValueError),
        (errors.DataError, ValueError),
        (errors.UnsafePickleError, errors.DataError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_each_is_a_builtin_and_prints_its_sentence(ours, builtin):
    assert issubclass(ours, builtin)
    assert issubclass(ours, errors.MMDisentangleError)
    assert str(ours("a 'plain' sentence.")) == "a 'plain' sentence."
    assert str(ours()) == ""


def test_every_error_and_warning_is_public():
    public = {getattr(errors, name) for name in errors.__all__}
    core = sys.modules["mmdisentangle._core.errors"]
    raised = {v for v in vars(core).values() if isinstance(v, type) and issubclass(v, errors.MMDisentangleError)}
    assert raised | {errors.AdversaryWarning, errors.DataWarning} == public


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rtl", "; did you mean 'rtil'?"),
        ("zzz", "; known names: 'rtil', 'mea', 'meta'"),
        ("RTIL", "; did you mean 'rtil'?"),
        ("met", "; did you mean 'meta' or 'mea'?"),
    ],
)
def test_nearest_names(name, expected):
    assert nearest_names(name, ["rtil", "mea", "meta"]) == expected


def test_nearest_names_of_none():
    assert nearest_names("a", []) == "; known names: none"


def test_require_extra_imports():
    assert require_extra("json", "train") is sys.modules["json"]


def test_require_extra_names_the_extra():
    with expect.error(errors.MissingExtraError, "no_such_module.part", "pip install 'mmdisentangle[train]'"):
        require_extra("no_such_module.part", "train")


def test_require_extra_does_not_hide_a_broken_dependency(monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "half_installed":
                raise ModuleNotFoundError("No module named 'its_dependency'", name="its_dependency")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="its_dependency") as caught:
        require_extra("half_installed", "train")
    assert not isinstance(caught.value, errors.MissingExtraError)


def test_require_extra_finds_a_submodule(monkeypatch):
    package, part = types.ModuleType("present"), types.ModuleType("present.part")
    monkeypatch.setitem(sys.modules, "present", package)
    monkeypatch.setitem(sys.modules, "present.part", part)
    assert require_extra("present.part", "eval") is part
