import runpy


def test_own_layer_takes_less_than_fifteen_lines_and_learns(repository):
    file = repository / "examples" / "own_layer.py"
    code = file.read_text(encoding="utf-8").partition("# swap: begin")[2].partition("# swap: end")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 15
    # Chance is .25.
    assert runpy.run_path(str(file))["main"]()["accuracy"] > 0.7
