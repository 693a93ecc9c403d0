"""Models: a frozen configuration whose fit method turns effect sizes into a frozen result."""
