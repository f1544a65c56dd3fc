"""Give the environment that runs this a plain path to the package, so that editors and type checkers find it.

An editable install maps the import name to the repository's root by a hook that only a running Python knows. A line in a .pth file,
naming a folder that holds a link `fewview` to the repository, says the same to programs that only read files. A wheel that is
installed later goes before it.
"""

import sys
import sysconfig
from pathlib import Path

root = Path(__file__).resolve().parents[1]
folder = Path(sys.prefix) / "source"
folder.mkdir(exist_ok=True)
link = folder / "fewview"
if link.is_symlink() and link.resolve() != root:
    link.unlink()
if not link.is_symlink():
    link.symlink_to(root, target_is_directory=True)
(Path(sysconfig.get_path("purelib")) / "fewview_source.pth").write_text(f"{folder}\n", encoding="utf-8")
