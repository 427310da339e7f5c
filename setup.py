"""Builds the compiled modules where Cython and a C compiler are at hand; else the same sources are interpreted.

The captures of pcaps/ become a part of the package, beside the code that finds them.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

COMPILED = ["dsrkit.inspect.tally", "dsrkit.verify.join", "dsrkit.verify.sightings", "dsrkit.wire.scan"]
"""Modules in Cython's pure Python mode; add a name and it is built from its .py file."""


def extensions() -> list[Extension]:
    """The extensions to build, each optional: a missing compiler must not fail the installation."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    # vectors of 64-bit products are made of three products each where the processor has none: slower than one by one
    flags = ["-O3", "-fno-tree-vectorize"]
    wanted = [Extension(name, [name.replace(".", "/") + ".py"], extra_compile_args=flags) for name in COMPILED]
    built: list[Extension] = cythonize(wanted, language_level=3, quiet=True, build_dir="build/cython")
    for extension in built:
        extension.optional = True  # on the result: cythonize drops it from its input
    return built


class BuildWithCaptures(build_py):
    """Also copies pcaps/ to dsrkit/_pcaps, but for the programs that made the traffic: they are not data."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package is the checkout, which has its captures
            return
        for source, target in self._captures():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        captures = [] if self.editable_mode else [str(target) for _, target in self._captures()]
        return [*super().get_outputs(include_bytecode), *captures]

    def _captures(self) -> list[tuple[Path, Path]]:
        folder = Path("pcaps")
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "_tools" not in file.parts]
        if not files:
            raise FileNotFoundError("pcaps/ is not beside setup.py: it is part of the package")
        return [(file, Path(self.build_lib, "dsrkit", "_pcaps", file.relative_to(folder))) for file in files]


setup(ext_modules=extensions(), cmdclass={"build_py": BuildWithCaptures})
