"""What the guides tell people to type, so that the tests type the same."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands_of_the_guide(heading="Grade a problem set", guide="instructor-guide"):
    """Each ```bash block below a heading, in order."""
    text = (ROOT / f"book/{guide}.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert section is not None
    return re.findall(r"^```bash\n(.*?)^```", section[1], re.S | re.M)
