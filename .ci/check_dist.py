"""Checks what a release would ship: sources in the sdist, binaries in the wheel, and neither in the other."""

import sys
import tarfile
import zipfile
from pathlib import Path

sdist, wheel = sys.argv[1:]
with tarfile.open(sdist) as archive:
    sources = archive.getnames()
with zipfile.ZipFile(wheel) as archive:
    binaries = archive.namelist()

NATIVE = sorted(path.with_suffix("") for path in Path("spyderresp").rglob("*.pyx"))
failures = []
for name in NATIVE:
    for suffix in (".pyx", ".pxd", ".pyi"):
        source = name.with_suffix(suffix)
        if not source.exists():  # without a stub, where only native modules import it
            continue
        if not any(path.endswith(f"/{source}") for path in sources):
            failures.append(f"sdist lacks {source}")
        if suffix != ".pyx" and str(source) not in binaries:
            failures.append(f"wheel lacks {source}")
    if not any(path.startswith(f"{name}.") and path.endswith(".so") for path in binaries):
        failures.append(f"wheel lacks {name}.so")
failures += [f"sdist has {path}" for path in sources if path.endswith((".c", ".so"))]
failures += [f"wheel has {path}" for path in binaries if path.endswith((".c", ".pyx")) or path.startswith("tests")]
failures += [
    f"wheel lacks {name}" for name in ("spyderresp/py.typed", "spyderresp/cli/plan.py") if name not in binaries
]
print("\n".join(failures) or f"sdist: {len(sources)} files; wheel: {len(binaries)} files")
sys.exit(bool(failures))
