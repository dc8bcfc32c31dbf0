"""Runs cases and headlines, and makes the rows that are written."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from benchmarks.speed.case import COMPILED, LIBRARY, Case, Provider, Setting, leaves
from benchmarks.speed.headlines import Headline
from benchmarks.speed.measuring import DIRECTIONS, differs, failures, passes, peak, spread, timed, with_compiled

Row = dict[str, Any]
MOST_ROUNDS = 9


def run_case(case: Case, setting: Setting, budget: float) -> list[Row]:
    """Measure a case at its lengths, every length within the budget in seconds.

    A provider is given up at the length where one pass is foreseen to take more than the budget.
    """
    device = setting.device
    torch.manual_seed(0)
    failed = failures(case, device)
    providers = dict(case.providers(case.features, setting))
    rows = [_unmeasured(case, name, case.lengths[0], setting, reason) for name, reason in failed.items()]
    providers = {name: provider for name, provider in providers.items() if name not in failed}
    if LIBRARY in providers and (case.compiled or device.type == "cuda"):
        try:
            compiled = with_compiled(providers)
            # Two lengths, so that the compiler has seen that they change.
            for length in case.lengths[:2]:
                passes(compiled[COMPILED], case.inputs(case.sizes(length), setting), device)
            reason = differs(compiled, case.inputs(case.sizes(case.lengths[0]), setting)) if case.checked else ""
            if reason:
                rows.append(_unmeasured(case, COMPILED, case.lengths[0], setting, reason))
            else:
                providers = compiled
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
            reason = f"does not compile in one graph: {str(error).splitlines()[0]}"
            rows.append(_unmeasured(case, COMPILED, case.lengths[0], setting, reason))
    past: dict[str, list[tuple[int, float]]] = {}
    for length in case.lengths:
        here = {
            name: provider
            for name, provider in providers.items()
            if length <= (provider.longest or length) and not _too_slow(past.get(name, []), length, case, budget)
        }
        if not here:
            break
        measured = _at_length(case, here, length, setting, budget)
        for row in measured:
            rows.append(row)
            if "seconds" in row:
                past.setdefault(row["provider"], []).append((length, row["seconds"]["both"]["median"]))
            else:
                providers.pop(row["provider"])
    return rows


def _too_slow(past: Sequence[tuple[int, float]], length: int, case: Case, budget: float) -> bool:
    """Whether one pass is foreseen to take longer than the budget, from the growth between the last two lengths."""
    if not past:
        return False
    last, seconds = past[-1]
    power = 1.0
    if len(past) > 1:
        before, earlier = past[-2]
        # Fixed costs hide the growth of short sequences: half a power more is kept in hand.
        seen = math.log(seconds / earlier) / math.log(last / before)
        power = min(2.0 if case.growth == "quadratic" else 1.0, max(seen, 0.0) + 0.5)
    return seconds * (length / last) ** power > budget


def _at_length(case: Case, providers: dict[str, Provider], length: int, setting: Setting, budget: float) -> list[Row]:
    torch.manual_seed(length)
    inputs = case.inputs(case.sizes(length), setting)
    rows, fitting = [], {}
    for name, provider in providers.items():
        try:
            passes(provider, inputs, setting.device)
            fitting[name] = provider
        except torch.OutOfMemoryError:
            rows.append(_unmeasured(case, name, length, setting, "out of memory"))
            torch.cuda.empty_cache()
    seconds = timed(fitting, inputs, setting.device, budget, MOST_ROUNDS)
    for name, provider in fitting.items():
        row = _named(case, name, length, setting, provider.source)
        row["seconds"] = {direction: spread(seconds[name][direction]) for direction in DIRECTIONS}
        row["frames_per_second"] = case.batch * length / row["seconds"]["both"]["median"]
        row["peak_bytes"] = peak(provider, inputs, setting.device)
        rows.append(row)
    return rows


def _named(case: Case, provider: str, length: int, setting: Setting, source: str = "") -> Row:
    return {
        "case": case.name,
        "provider": provider,
        **({"source": source} if source else {}),
        "batch": case.batch,
        "length": length,
        "axis": case.axis,
        "features": case.features,
        "dtype": str(setting.dtype).removeprefix("torch."),
    }


def _unmeasured(case: Case, provider: str, length: int, setting: Setting, reason: str) -> Row:
    return {**_named(case, provider, length, setting), "not_measured": reason}


def run_headlines(headlines: Sequence[Headline], budget: float, rounds: int = MOST_ROUNDS) -> list[Row]:
    """Measure every case of the headlines once, and take the ratios."""
    found = []
    for case in dict.fromkeys(headline.case for headline in headlines):
        started = time.perf_counter()
        wanted = [headline for headline in headlines if headline.case == case]
        found += _ratios(case, wanted, budget, rounds)
        print(f"{case.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return found


def _ratios(case: Case, headlines: Iterable[Headline], budget: float, rounds: int) -> list[Row]:
    setting, headlines = Setting(), list(headlines)
    failed = failures(case, setting.device)
    torch.manual_seed(0)
    providers = dict(case.providers(case.features, setting))
    used = {name for headline in headlines for name in (headline.slow, headline.fast)}
    if COMPILED in used:
        providers = with_compiled(providers)
    inputs = case.inputs(case.sizes(case.lengths[0]), setting)
    if COMPILED in used and (reason := differs(providers, inputs)):
        failed[COMPILED] = reason
    providers = {name: provider for name, provider in providers.items() if name in used}
    if failed.keys() & used:
        raise AssertionError(f"{case.name}: {failed}")
    for provider in providers.values():
        passes(provider, inputs, setting.device)
    seconds = timed(providers, inputs, setting.device, budget, rounds)
    in_bytes = {headline.quantity == "bytes" for headline in headlines}
    memory = (
        {name: peak(provider, inputs, setting.device) for name, provider in providers.items()}
        if True in in_bytes
        else {}
    )
    memory["input"] = sum(x.numel() * x.element_size() for x in leaves(inputs, Provider(lambda: None)))
    return [
        _ratio(headline, {name: times["both"] for name, times in seconds.items()}, memory) for headline in headlines
    ]


def _ratio(headline: Headline, seconds: dict[str, list[float]], memory: dict[str, int]) -> Row:
    if headline.quantity == "bytes":
        value = memory[headline.slow] / memory[headline.fast]
        ratio = {"median": value, "min": value, "max": value, "rounds": 1}
    else:
        pairs = zip(seconds[headline.slow], seconds[headline.fast], strict=False)
        ratio = spread([slow / fast for slow, fast in pairs])
    case = headline.case
    return {
        "headline": headline.name,
        "batch": case.batch,
        "length": case.lengths[0],
        "features": case.features,
        "slow": headline.slow,
        "fast": headline.fast,
        "quantity": headline.quantity,
        "ratio": ratio,
        "goal": headline.goal,
        "at_most": headline.at_most,
        "reached": ratio["median"] <= headline.goal if headline.at_most else ratio["median"] >= headline.goal,
    }
