"""Run folders: creation, records, reading and differences."""
