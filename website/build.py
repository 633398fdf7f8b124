"""Build the documentation site in build/docs, strictly: `make docs`.

The hand-written pages of docs/ and the generated ones are laid together in build/docs-source;
Sphinx turns them into HTML, every warning being an error; then every internal link is checked.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from website import ROOT, api, reference
from website.links import dead_links

STRICT = ("-W", "--keep-going", "-n", "-q", "-b", "html")


def main() -> int:
    """Gather, build, check. The exit code: 0 where nothing was wrong."""
    from sphinx.cmd.build import build_main

    build = ROOT / "build"
    source, site = build / "docs-source", (build / "docs").resolve()
    gather(source)
    shutil.rmtree(site, ignore_errors=True)
    folders = ["-c", ROOT / "website", "-d", build / "docs-trees", source, site]
    if build_main([*STRICT, *map(str, folders)]):
        return 1
    dead = list(dead_links(site))
    for page, link, reason in dead:
        print(f"{page}: link '{link}': {reason}", file=sys.stderr)
    if not dead:
        print(f"{site / 'index.html'}: built without a warning, no dead link")
    return 1 if dead else 0


def gather(source: Path) -> None:
    """Copy the written pages and write the generated ones beside them."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    for name, text in generated().items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def generated() -> dict[str, str]:
    """Every generated file of the site: fragments that pages include, and pages of the API."""
    fragments = {f"generated/{name}": text for name, text in reference.fragments().items()}
    return fragments | {f"reference/api/{name}.md": text for name, text in api.pages().items()}


if __name__ == "__main__":
    sys.exit(main())
