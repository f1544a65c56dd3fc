"""Settings that are chosen from the data: the weight of a prior, and the number of iterations, by views that are held out."""
