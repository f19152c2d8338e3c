"""Catalog of what a recipe can name, listed without importing the libraries that it comes from."""

from lightseg.config.lazy import lazy_getattr

__getattr__ = lazy_getattr(__name__, {"main": "__main__"})
