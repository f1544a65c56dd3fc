"""Single images and stacks of them: files, grey windows, views chosen and binned while they are read, unusable pixels filled."""
