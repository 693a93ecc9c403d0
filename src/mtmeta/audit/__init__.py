"""What needs records and models: analysis files and checks."""
