"""What people look at: intervals, charts, pictures and the one-page HTML report."""
