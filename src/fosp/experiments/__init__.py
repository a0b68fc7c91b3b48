"""The paper's tables and figures as declared grids: run on Ray, and reported with intervals."""
