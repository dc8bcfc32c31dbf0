"""Every Python example of the README and of the documentation runs."""

import doctest
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
# A block opened by ```python runs; ```python no-run is for what needs more than the repository, data of one's own say.
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_examples_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of one document in order and in one namespace; those with ``>>>`` must print what they show."""
    monkeypatch.chdir(tmp_path)
    text = document.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        code = block.group(1)
        if ">>> " in code:
            example = doctest.DocTestParser().get_doctest(code, namespace, document.name, str(document), line)
            report: list[str] = []
            runner = doctest.DocTestRunner(optionflags=OPTIONS)
            runner.run(example, out=report.append, clear_globs=False)
            assert not runner.failures, "".join(report)
            namespace.update(example.globs)
        else:
            exec(compile("\n" * line + code, str(document), "exec"), namespace)
