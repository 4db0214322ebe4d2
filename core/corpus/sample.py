"""The small corpora that come with the product, in ``sample_data`` beside ``core``."""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import CorpusError

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
ABOUT = "about.json"


def sample_abouts(root: Path = SAMPLES) -> dict[str, dict[str, str]]:
    """Name -> what about.json says: title, description, licence. Raises CorpusError for a broken one."""
    abouts = {}
    for path in sorted(root.glob(f"*/{ABOUT}")):
        where = f"sample_data/{path.parent.name}/{ABOUT}"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CorpusError(f"{where}: cannot be read ({error}). Install the product again.") from None
        for field in ("title", "description", "licence"):
            if not isinstance(about, dict) or not isinstance(about.get(field), str):
                raise CorpusError(f"{where}: missing {field!r}. It needs title, description and licence.")
        abouts[path.parent.name] = about
    return abouts


def sample_folder(name: str, root: Path = SAMPLES) -> Path:
    """The folder of a sample. Raises CorpusError, with the known names, for an unknown one."""
    names = sorted(path.parent.name for path in root.glob(f"*/{ABOUT}"))
    if name not in names:
        raise CorpusError(f"sample:{name[:60]}: no such sample. There is: {', '.join(names) or 'none installed'}.")
    return root / name
