"""Makes packages for installers."""

import base64
import hashlib
import zipfile
from pathlib import Path


def wheel(
    folder: Path, name: str, version: str, requires: tuple[str, ...] = (), *, python: str = ">=3.8", source: str = ""
) -> None:
    """Write a wheel of one module into a folder. `source` is added to the module."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}"
    metadata = [about, *(f"Requires-Dist: {r}" for r in requires)]
    files = {
        f"{name}.py": f"version = {version!r}\n{source}",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text.encode())}\n"
        for path, text in files.items()
    ]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")
