"""Pages and pictures of what was measured, segmented, registered and followed."""
