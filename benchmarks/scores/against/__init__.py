"""What a volume is compared with, and how it is brought there: references, alignment, and maps that were fitted on other animals."""
