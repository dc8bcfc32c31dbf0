"""The speed suite: what it compares, what it leaves out, what it writes."""

import copy
import inspect
import json
import time

import jsonschema
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.speed import guard, record, report
from benchmarks.speed.case import LIBRARY, Case, Provider, Setting, Sizes
from benchmarks.speed.components import COMPONENTS, sequence
from benchmarks.speed.headlines import HEADLINES
from benchmarks.speed.measuring import failures, fitted_exponent, passes, peak, timed
from benchmarks.speed.models import MODELS
from benchmarks.speed.suite import run_case, run_headlines
from mmdisentangle import nn as layers

CPU = torch.device("cpu")


def case(providers, **settings):
    return Case("made_up", sequence, lambda features, setting: providers, 2, 3, lengths=(8, 16), **settings)


def square(x):
    return x.square()


class _WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.square()

    @staticmethod
    def backward(ctx, upstream):
        return upstream


# ---- correctness before speed ----------------------------------------------------------------------------------------


def test_providers_that_differ_are_named():
    providers = {
        LIBRARY: Provider(square),
        "same": Provider(lambda x: x * x),
        "value": Provider(lambda x: x.square() * (1 + 1e-4)),
        "gradient": Provider(_WrongGradient.apply),
        "shape": Provider(lambda x: x.square().sum()),
        "nan": Provider(lambda x: x.square() * torch.nan),
        "raises": Provider(lambda x: x.square() @ x),
    }
    found = failures(case(providers), CPU)
    assert set(found) == {"value", "gradient", "shape", "nan", "raises"}
    assert "differs from 'library' by 1.0e-04" in found["value"]


def test_what_exists_in_float32_alone_is_compared_there():
    def providers(features, setting):
        fused = {"fused": Provider(lambda x: x.square() * 1.01)} if setting.dtype == torch.float32 else {}
        return {LIBRARY: Provider(square), "same": Provider(lambda x: x * x), **fused}

    found = failures(Case("made_up", sequence, providers, 2, 3, lengths=(8, 16)), CPU)
    assert list(found) == ["fused"]
    assert "allowed 1e-04" in found["fused"]


def test_a_provider_that_differs_gets_no_number():
    providers = {LIBRARY: Provider(square), "wrong": Provider(lambda x: x.abs())}
    rows = run_case(case(providers), Setting(), budget=0.05)
    assert {row["provider"] for row in rows if "seconds" in row} == {LIBRARY}
    (wrong,) = [row for row in rows if row["provider"] == "wrong"]
    assert "differs" in wrong["not_measured"]


@pytest.mark.slow
@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_providers_of_components_agree(component):
    assert failures(component, CPU) == {}


def test_every_component_has_a_case():
    stems = set()
    for name in layers.__all__:
        part = getattr(layers, name)
        if inspect.isclass(part) and issubclass(part, torch.nn.Module):
            stems.add(part.__module__.rsplit(".", 1)[-1])
    # A language model of another library, which takes texts.
    stems.remove("text_encoder")
    names = [component.name for component in COMPONENTS]
    assert [stem for stem in stems if not any(name.startswith(stem) for name in names)] == []


# ---- measuring -------------------------------------------------------------------------------------------------------


def test_turns_are_interleaved():
    order = []

    def call(name):
        def run(x):
            order.append(name)
            time.sleep(0.02)
            return x * 1

        return Provider(run)

    inputs = sequence(Sizes(1, 4, 3), Setting())
    seconds = timed({"a": call("a"), "b": call("b")}, inputs, CPU, budget=0.2, most=9)
    assert order[:2] == ["a", "b"]
    assert order[2:6] == ["a", "b", "a", "b"]
    assert 0.02 <= min(seconds["a"]["forward"]) < 0.2
    assert seconds["a"]["both"][0] >= seconds["a"]["backward"][0]


@pytest.mark.compile
def test_what_does_not_compile_gets_no_number():
    def reads_values(x):
        return x * 2 if x.sum().item() > 0 else x * 3

    rows = run_case(case({LIBRARY: Provider(reads_values)}, compiled=True), Setting(), budget=0.05)
    (row,) = [row for row in rows if row["provider"] == "library, compiled"]
    assert row["not_measured"].startswith("does not compile in one graph")
    assert {row["length"] for row in rows if row["provider"] == LIBRARY} == {8, 16}


def test_what_takes_the_whole_budget_is_measured_once():
    slow = Provider(lambda x: time.sleep(0.1) or x * 1)
    inputs = sequence(Sizes(1, 4, 3), Setting())
    seconds = timed({"slow": slow, "fast": Provider(square)}, inputs, CPU, budget=0.05, most=9)
    assert len(seconds["slow"]["both"]) == 1
    assert len(seconds["fast"]["both"]) >= 3


def test_gradients_do_not_add_up():
    (x,) = sequence(Sizes(1, 4, 3), Setting())
    for _ in range(3):
        passes(Provider(square), (x,), CPU)
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_peak_does_not_depend_on_what_was_measured_before():
    (x,) = sequence(Sizes(1, 1000, 100), Setting())
    provider = Provider(lambda x: x.square())
    first = peak(provider, (x,), CPU)
    for _ in range(3):
        passes(provider, (x,), CPU)
        assert peak(provider, (x,), CPU) == first


def test_peak_counts_live_bytes():
    (x,) = sequence(Sizes(1, 1000, 100), Setting())
    size = x.numel() * 4
    # Gradient, square, ones: three times the input at least, and nothing near ten times.
    assert 3 * size <= peak(Provider(lambda x: x.square()), (x,), CPU) < 6 * size


def test_a_provider_is_given_up_before_it_takes_too_long():
    calls = []

    def slow(x):
        calls.append(x.shape[1])
        time.sleep(x.shape[1] / 100)
        return x.square()

    providers = {LIBRARY: Provider(square), "slow": Provider(slow)}
    rows = run_case(case(providers, checked=False), Setting(), budget=0.1)
    assert {row["length"] for row in rows if row["provider"] == "slow"} == {8}
    assert {row["length"] for row in rows if row["provider"] == LIBRARY} == {8, 16}


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_exponent(power):
    lengths = (32, 2_048, 8_192, 65_536)
    values = [5.0 if length == 32 else 1e-6 * length**power for length in lengths]
    assert fitted_exponent(lengths, values) == pytest.approx(power)
    assert fitted_exponent(lengths[:2], values[:2]) is None


# ---- results ---------------------------------------------------------------------------------------------------------


def test_committed_results_fit_the_schema_and_the_page_shows_them():
    committed = record.read(record.RESULTS / "speed_cpu.json")
    assert {row["headline"] for row in committed["headlines"]} == {headline.name for headline in HEADLINES}
    assert {row["case"] for row in committed["rows"]} == {component.name for component in (*COMPONENTS, *MODELS)}
    assert report.PAGE.read_text(encoding="utf-8") == report.page()
    readme = report.README.read_text(encoding="utf-8")
    assert readme == report.with_table(readme)
    for component in (*COMPONENTS, *MODELS):
        assert (report.FIGURES / "cpu" / f"{component.name}.svg").is_file()


def test_what_does_not_fit_the_schema_is_not_written(tmp_path):
    committed = json.loads((record.RESULTS / "speed_cpu.json").read_text(encoding="utf-8"))
    committed["rows"][0].pop("batch")
    with pytest.raises(jsonschema.ValidationError):
        record.write(tmp_path / "speed.json", committed)
    assert not list(tmp_path.iterdir())


def headline(median, quantity="seconds", at_most=False, name="made up"):
    return {"headline": name, "quantity": quantity, "ratio": {"median": median}, "at_most": at_most}


def test_guard():
    tolerance = guard.TOLERANCE["seconds"]
    assert guard.regressions([headline(10.0)], [headline(10.0 * (1 - tolerance) + 0.01)]) == []
    (worse,) = guard.regressions([headline(10.0)], [headline(10.0 * (1 - tolerance) - 0.01)])
    assert worse.startswith("made up")
    assert guard.regressions([headline(10.0)], []) == ["made up: no longer measured"]
    assert guard.regressions([headline(10.0)], [headline(50.0)]) == []
    # Ratios that should stay low are guarded from above, bytes more closely.
    assert guard.regressions([headline(1.0, at_most=True)], [headline(0.1, at_most=True)]) == []
    assert guard.regressions([headline(1.0, at_most=True)], [headline(1.5, at_most=True)])
    assert guard.regressions([headline(1.1, "bytes", True)], [headline(1.2, "bytes", True)])


def test_headline_ratio():
    made_up = copy.copy(HEADLINES[0])
    object.__setattr__(
        made_up,
        "case",
        case(
            {
                LIBRARY: Provider(lambda x: time.sleep(0.01) or x * 1),
                "released": Provider(lambda x: time.sleep(0.04) or x * 1),
            }
        ),
    )
    (row,) = run_headlines([made_up], budget=0.5)
    assert 2.5 < row["ratio"]["median"] < 4.5
    assert not row["reached"]


def test_headlines_of_one_machine_do_not_join_rows_of_another(monkeypatch, capsys):
    monkeypatch.setattr(record, "machine", lambda device: {"machine": "another"})
    monkeypatch.setattr(command, "run_headlines", lambda *_: pytest.fail("measured"))
    assert command.renew_headlines() == 1
    assert "measured elsewhere" in capsys.readouterr().err


def test_command_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "masked_men"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no case is called 'masked_men'" in capsys.readouterr().err
    if not torch.cuda.is_available():
        monkeypatch.setattr("sys.argv", ["benchmarks", "--device", "cuda"])
        with pytest.raises(SystemExit):
            command.main()
        assert "sees no GPU" in capsys.readouterr().err
