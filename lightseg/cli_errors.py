"""Turns jsonargparse's pages about types into a line or two."""

def explain(message, parser, reading):
    return message
