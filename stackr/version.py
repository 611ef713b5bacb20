"""Which stackr this is: by itself, since all parts tell it, and the package imports all parts."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.2.0"
