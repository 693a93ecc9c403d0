"""Study records: what a source printed, read strictly and written tidily."""
