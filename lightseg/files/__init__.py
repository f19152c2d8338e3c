"""Files and folders: written whole or not at all, named once, walked without end."""
