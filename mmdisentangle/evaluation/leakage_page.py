"""A leakage report as one self-contained page, and as JSON."""

import json
import math
from pathlib import Path

import mmdisentangle
from mmdisentangle._core.errors import require_extra
from mmdisentangle.evaluation import leakage_figures as figures
from mmdisentangle.evaluation.leakage_result import LeakageReport
from mmdisentangle.evaluation.verdicts import verdicts


def write_report(report: LeakageReport, directory: str | Path, *, title: str = "Shared and private codes") -> Path:
    """Write ``report.html``, one page without any other file, and ``report.json``.

    Args:
        report: what `leakage` returned.
        directory: folder; made where it is missing.
        title: what was judged: model, data.

    Returns:
        The path of the page.

    Raises:
        MissingExtraError: jinja2 is not installed (``mmdisentangle[eval]``).

    Example:
        >>> import tempfile
        >>> from mmdisentangle.evaluation import leakage
        >>> codes = {"text": torch.randn(60, 4), "audio": torch.randn(60, 4)}
        >>> report = leakage(codes, codes, permutations=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_report(report, folder, title="Two random codes")
        ...     sorted(path.name for path in page.parent.iterdir())
        ['report.html', 'report.json']
    """
    jinja2 = require_extra("jinja2", "eval")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"title": title, **report.to_json()}
    (folder / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    pictures = {
        "What can be read from the codes. Lines are 95 % intervals.": figures.draw_probes(report),
        "Alignment of every two blocks of codes: 0 independent (linearly), 1 equal up to rotation and scale. Wanted: "
        "dark among shared blocks, pale elsewhere.": figures.draw_dependence(report),
        "What is read of every known factor.": figures.draw_factors(report),
        "Directions in which the codes vary.": figures.draw_ranks(report),
        "Change between neighbouring frames: mean squared step over twice the variance.": figures.draw_change(report),
    }
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, small=_small)
    template = environment.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        report=report,
        verdicts=verdicts(report),
        figures=[(caption, picture) for caption, picture in pictures.items() if picture is not None],
        version=mmdisentangle.__version__,
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _small(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2g}"
