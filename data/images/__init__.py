"""Single images and stacks of them: files, grey windows, choosing and binning views while they are read, and filling unusable pixels."""
