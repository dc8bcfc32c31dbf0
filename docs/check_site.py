"""Does every link of the built site lead somewhere, and has every public name its page?

    python docs/check_site.py docs/_build/html

Reads every page as a browser would that has no network: pages, pictures, scripts and anchors must be there. Links to
other hosts are not followed, but a page must load nothing from one.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "object": "data"}


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if LOADED.get(tag, "") in given and given.get("rel") not in ("canonical", "index", "next", "prev", "search"):
            self.loaded.add(given[LOADED[tag]])


def broken(site: Path) -> list[str]:
    """One line for every link that leads nowhere, and for everything loaded from elsewhere."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    if not pages:
        return [f"there is no page in {site}"]
    found = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    found.append(f"{where}: loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{where}: {link} does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where}: {link} has no such anchor")
    return sorted(found)


def unseen(site: Path, rooms: Iterable[str]) -> list[str]:
    """One line for every public name of the rooms that no page of the API describes."""
    found = []
    for room in rooms:
        module = importlib.import_module(room)
        for name in module.__all__:
            page = site / "api" / "generated" / f"{room}.{name}.html"
            if inspect.ismodule(getattr(module, name)):
                continue
            if not page.is_file() or f"{room}.{name}" not in Page(page.read_text(encoding="utf-8")).anchors:
                found.append(f"{room}.{name} has no page")
    return found


def main() -> None:
    site = Path(sys.argv[1])
    rooms = [
        path.stem for path in (site / "api" / "generated").glob("mmdisentangle.*.html") if path.stem.count(".") == 1
    ]
    found = broken(site) + unseen(site, sorted(rooms))
    print("\n".join(found) or "every link leads somewhere, every public name has its page")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
