"""Names of signals."""

from lightseg.distributed.exit_codes import signal_name


def test_signal_name__of_a_signal_and_of_another_number():
    assert signal_name(15) == "SIGTERM"
    assert signal_name(127) is None
