"""What is chosen on other animals than those of the test: settings on validation animals, linear maps on training animals."""
