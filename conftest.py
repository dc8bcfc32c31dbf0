"""What docstring examples may take for granted: torch is imported, and its generator starts from a fixed seed."""

import importlib

import pytest
import torch


def pytest_sessionstart(session: pytest.Session) -> None:
    """Import the package before doctests are collected: a module found by its path would be imported twice."""
    if session.config.getoption("doctestmodules"):
        importlib.import_module("mmdisentangle")


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
    torch.manual_seed(0)
