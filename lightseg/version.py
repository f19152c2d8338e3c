"""The version of lightseg, apart from the package so that no module has to import that."""

__version__ = "0.1.0"
