"""``report``: what a cross-validation found."""
