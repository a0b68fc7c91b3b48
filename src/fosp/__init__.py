"""FOSP: offline safe policies from images through world models, fine-tuned online."""

from fosp.version import __version__

__all__ = ["__version__"]
