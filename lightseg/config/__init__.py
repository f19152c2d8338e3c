"""Recipes as data: composed of files, checked by a schema, with errors that name the key."""
