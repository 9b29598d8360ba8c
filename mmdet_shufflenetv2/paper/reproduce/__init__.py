"""The paper's tables 7 and 8, a row at a time: what was published, and the way from a data set to the same figure."""
