"""What a harness imports late, asked for early: in the first seconds, not when a model has been loaded."""

import importlib
from importlib import metadata

from harness_ext.errors import UserError


def require_imports(harness: str, *modules: str) -> None:
    """Import ``modules``, which ``harness`` (a distribution's name) needs; raises ``UserError`` for one that there is not."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = (error.name or module).partition(".")[0]
            distribution = metadata.packages_distributions().get(package, [package])[0]
            try:
                found = f"{distribution} {metadata.version(distribution)}"
            except metadata.PackageNotFoundError:
                found = f"{distribution}, which is not installed"
            raise UserError(
                f"{harness} {metadata.version(harness)} cannot run with {found}: {error}.\n"
                "Install the versions that this project is tested with: pip install . -c constraints.txt"
            ) from error
