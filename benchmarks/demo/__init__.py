"""The demo: a scan made by software, reconstructed from fewer and fewer views, and a page that shows how good each reconstruction is."""
