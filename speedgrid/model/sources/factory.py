"""A function of the user's that returns a torch module: code that runs only where they say `trust: true`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from speedgrid.launcher.outputs import one_line
from speedgrid.model.sources.source import ModelError

if TYPE_CHECKING:
    from torch import nn

    from speedgrid.data.inputs import Input


@dataclass(frozen=True)
class Factory:
    """A model that a function makes. model: `package.module:function`, found from the folder that the workflow runs in.

    arguments: of the call, beside `classes` where it is for classification and has a parameter of that name.
    """

    module: ClassVar[bool] = True
    gives_weights: ClassVar[bool] = True
    trains: ClassVar[bool] = False

    name: str
    model: str
    task: str = "raw"
    weights: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    inputs: "tuple[Input, ...]" = ()

    def require(self) -> None:
        """Raise ModelError unless there is such a module; it is not run."""
        self.file()

    def file(self) -> Path:
        """Return the file of the module. Raises ModelError where there is none, or the name is none."""
        module, colon, function = self.model.partition(":")
        if not colon or not all(part.isidentifier() for part in (*module.split("."), function)):
            raise ModelError(
                f"config key models has factory: {self.model!r}; it must read as package.module:function, "
                "e.g. my.models:detector."
            )
        here = Path(*module.split("."))
        for path in (here.with_suffix(".py"), here / "__init__.py"):
            if path.is_file():
                return path
        parts = module.split(".")
        spec = importlib.util.find_spec(parts[0])
        if spec and spec.origin and len(parts) == 1 and Path(spec.origin).is_file():  # not of what Python is made with
            return Path(spec.origin)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            path = Path(folder, *parts[1:])
            for one in (path.with_suffix(".py"), path / "__init__.py"):
                if one.is_file():
                    return one
        raise ModelError(
            f"config key models has factory: {self.model!r}, and there is no module {module} in this folder or among "
            "the installed packages."
        )

    def files(self) -> list[str]:
        """Return the file of the module where it is the user's: what it imports is not looked at."""
        found = self.file()
        return [] if "site-packages" in found.parts else [str(found)]

    def build(self, classes: int) -> "nn.Module":
        """Return the module that the function makes. Raises ModelError where it raises, or returns no module."""
        from torch import nn

        module, _, name = self.model.partition(":")
        self.file()
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            function = getattr(importlib.import_module(module), name)
            takes = inspect.signature(function).parameters
            asked = self.task == "classification" and "classes" in takes and "classes" not in self.arguments
            own = {"classes": classes} if asked else {}
            made = function(**own, **self.arguments)
        except Exception as error:
            raise ModelError(
                f"config key models has factory: {self.model!r}, which does not give a model ({one_line(error)})."
            ) from error
        if not isinstance(made, nn.Module):
            raise ModelError(
                f"config key models has factory: {self.model!r}, which returns a {type(made).__name__}; it must be a "
                "torch.nn.Module."
            )
        return made

    def smallest_resolution(self) -> int:
        """Return 1: what sizes it takes is seen when it is run."""
        return 1
