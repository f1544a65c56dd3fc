"""One module a format, each with its row ``FORMAT``: this folder is the table that `volume_format.formats` reads."""
