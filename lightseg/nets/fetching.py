"""Download of pretrained weights by name, through their library."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from lightseg.errors import ConfigError
from lightseg.nets.base import first_line

_CONNECT_SECONDS = 10.0
"""Timeout of a connection."""


@contextmanager
def fetching(weights: str, save: str) -> Iterator[None]:
    """Fail fast with instructions if a library cannot download weights, within this context.

    Args:
        weights: Description of the weights, for the message.
        save: Python program that saves the weights as `encoder.safetensors`, for a machine with a connection.

    Raises:
        ConfigError: If the weights are not cached and cannot be downloaded.
    """
    import huggingface_hub.constants as hub

    offline, timeout = hub.HF_HUB_OFFLINE, socket.getdefaulttimeout()
    # without a connection the hub retries for 25 to 50 seconds, even for cached weights
    hub.HF_HUB_OFFLINE = offline or not _reachable(hub.ENDPOINT)
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        yield
    # network errors of all libraries, and the hub's error for uncached weights, are OSErrors
    except OSError as error:
        raise ConfigError(
            f"cannot fetch {weights}: {first_line(error)}\n"
            f'On a machine with a connection run `python -c "{save}"`, '
            "then pass --model.net.encoder_weights encoder.safetensors"
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = offline
        socket.setdefaulttimeout(timeout)


def _reachable(url: str) -> bool:
    if urllib.request.getproxies():
        return True
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
