"""One module for each format, with its row ``FORMAT``. This folder is the table that `volume_format.formats` reads."""
