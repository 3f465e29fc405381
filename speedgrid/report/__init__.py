"""What people read: the Markdown report, pages, plots and findings."""
