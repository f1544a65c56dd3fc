"""Do a volume and its views agree, and the views among themselves? A cheap check after every reconstruction."""
