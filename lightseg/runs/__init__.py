"""Run folders: made, described, read and compared, without torch."""
