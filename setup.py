"""Builds the compiled modules where Cython and a C compiler are at hand; else the same sources are interpreted."""

from __future__ import annotations

from setuptools import Extension, setup

COMPILED = ["dsrkit.wire.scan"]
"""Modules in Cython's pure Python mode; add a name and it is built from its .py file."""


def extensions() -> list[Extension]:
    """The extensions to build, each optional: a missing compiler must not fail the installation."""
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    wanted = [Extension(name, [name.replace(".", "/") + ".py"], extra_compile_args=["-O3"]) for name in COMPILED]
    built: list[Extension] = cythonize(wanted, language_level=3, quiet=True, build_dir="build/cython")
    for extension in built:
        extension.optional = True  # on the result: cythonize drops it from its input
    return built


setup(ext_modules=extensions())
