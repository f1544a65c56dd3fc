"""Public boards: published rows beside ours, on the data of others and by their own measure."""
