"""The demo: a scan made in software, reconstructed from fewer and fewer views, and a page that shows how good each is."""
