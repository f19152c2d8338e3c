"""Files and folders: atomic writing, locks, file names, folder walks and printable text."""
